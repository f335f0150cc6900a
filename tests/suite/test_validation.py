"""Pydantic's errors in our words, whatever its own are, and where in a document they point."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import Field, ValidationError, field_validator

from xtra.config import Config
from xtra.suite.diagnostics.document import parse
from xtra.suite.diagnostics.validation import expected, validation_problems


class Inner(Config):
    size: int = Field(1, ge=1, examples=[3])
    share: float = Field(0.5, gt=0, lt=1)


class Outer(Config):
    name: str = "a"
    kind: Literal["x", "y"] = "x"
    numbers: tuple[int, ...] = (1,)
    flag: bool = True
    even: int = 2
    inner: Inner = Inner()
    by_name: dict[str, Inner] = Field(default_factory=dict)
    listed: tuple[Inner, ...] = ()

    @field_validator("even")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("must be even")
        return value


@pytest.mark.parametrize(
    ("text", "location", "message"),
    [
        ("name: 1", "f:1:7", "name: 1 is not a text"),
        ("kind: z", "f:1:7", "kind: 'z' is not 'x' or 'y'"),
        ("numbers: 1", "f:1:10", "numbers: 1 is not a list"),
        ("numbers: [1, x]", "f:1:14", "numbers.1: 'x' is not an integer"),
        ("flag: 3", "f:1:7", "flag: 3 is not true or false"),
        ("even: 3", "f:1:7", "even: 3 is not even"),
        ("inner: 3", "f:1:8", "inner: 3 is not a mapping"),
        ("inner: {size: 0}", "f:1:15", "inner.size: 0 is not at least 1"),
        ("inner: {share: 1}", "f:1:16", "inner.share: 1 is not less than 1"),
        ("inner: {share: 0}", "f:1:16", "inner.share: 0 is not greater than 0"),
        ("by_name:\n  a: {sise: 1}", "f:2:7", "unknown key 'sise'"),
        ("listed: [{}, {sise: 1}]", "f:1:15", "unknown key 'sise'"),
        ("nme: 1", "f:1:1", "unknown key 'nme'"),
    ],
)
def test_an_error_of_pydantic_is_told_with_its_location_and_in_our_words(text: str, location: str, message: str) -> None:
    ((_, problem),) = validation_problems(parse(text, "f"), Outer)
    assert (str(problem.location), problem.message) == (location, message)


def test_the_remedy_comes_from_the_model_that_the_key_belongs_to() -> None:
    remedies = {
        text: validation_problems(parse(text, "f"), Outer)[0][1].remedy
        for text in ("by_name: {a: {sise: 1}}", "listed: [{sise: 1}]", "nme: 1", "inner: {size: 0}")
    }
    assert remedies == {
        "by_name: {a: {sise: 1}}": "did you mean 'size'?",
        "listed: [{sise: 1}]": "did you mean 'size'?",
        "nme: 1": "did you mean 'name'?",
        "inner: {size: 0}": "for example: size: 3",
    }


def test_an_error_type_that_we_have_no_words_for_keeps_those_of_pydantic() -> None:
    class Dated(Config):
        day: bytes = b""

    with pytest.raises(ValidationError) as caught:
        Dated.model_validate({"day": 3})
    (detail,) = caught.value.errors()
    assert expected(detail) == f"valid ({detail['msg']})"
