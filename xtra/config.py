"""The base of every configuration: immutable, strict, self-describing.

A field's docstring is its documentation everywhere: in this code, in error messages and in the JSON Schema of suite files.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


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
