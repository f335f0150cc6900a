"""The base of every configuration: immutable, strict, self-describing.

A field's docstring is its documentation everywhere: in this code, in error messages and in the JSON Schema of suite files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    model_serializer,
)
from pydantic_core import CoreSchema, core_schema

from xtra.registry import Registry


class Config(BaseModel):
    """A frozen block of settings. Unknown keys, wrong types and non-finite numbers are errors, never guesses."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        validate_default=True,
    )

    added_later: ClassVar[tuple[tuple[str, object], ...]] = ()
    """Fields that earlier releases did not have, with the values that stand for what these did: so they are left out of what is
    written, and jobs keep their keys."""

    @model_serializer(mode="wrap")
    def _serialize(self, fields_of: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = fields_of(self)
        return {name: value for name, value in fields.items() if (name, value) not in self.added_later}


@dataclass(frozen=True, eq=False)
class NameIn:
    """A mark of names: `Annotated[str, NameIn(registry)]` is a text that names an entry of a registry, or is one of `others`."""

    registry: Registry[Any]
    others: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The names that are valid by now."""
        return [*self.others, *self.registry]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "enum": self.names}

    def _check(self, name: str) -> str:
        if name not in self.names:
            raise ValueError(f"must be one of {', '.join(self.names)}")
        return name


@dataclass(frozen=True, eq=False)
class ChosenBy:
    """A mark of chosen classes: `Annotated[Block, ChosenBy(registry, field)]` is a block of settings whose class is the `config`
    of the entry that its own field names; `Block` itself where the field is left out or names none."""

    registry: Registry[Any]
    field: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def validate(value: Any, validate_as_source: Callable[[Any], Any]) -> Any:
            if not isinstance(value, Mapping):
                return validate_as_source(value)
            entry = self.registry.get(str(value.get(self.field)))
            config = source if entry is None else entry.config
            return config.model_validate_json(json.dumps(value))  # as JSON, lists are tuples

        def dump(block: BaseModel, info: SerializationInfo) -> dict[str, Any]:
            return block.model_dump(mode=info.mode)

        of_any_class = core_schema.plain_serializer_function_ser_schema(dump, info_arg=True)
        return core_schema.no_info_wrap_validator_function(validate, handler(source), serialization=of_any_class)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return dict(handler(schema["schema"]))
