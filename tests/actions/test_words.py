"""What people read beside a field."""

from __future__ import annotations

import enum
from datetime import date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from msgspec import Meta, defstruct

from turnout.actions.words import field_errors
from turnout.errors import ValidationFailed
from turnout.http import jsontext


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (int, "x", "Enter a whole number."),
        (int | None, "x", "Enter a whole number."),
        (float, "x", "Enter a number."),
        (Decimal, "x", "Enter a number."),
        (bool, "x", "Choose yes or no."),
        (date, "x", "Enter a date, such as 2026-01-31."),
        (datetime, "x", "Enter a date and a time, such as 2026-01-31T12:00."),
        (time, "x", "Enter a time, such as 12:00."),
        (UUID, "x", "This is not a valid id."),
        (Colour, "x", "Choose one of the offered values."),
        (Literal["a", "b"], "x", "Choose one of the offered values."),
        (Annotated[str, Meta(min_length=1)], "", "This is required."),
        (Annotated[str, Meta(min_length=3)], "", "Enter at least 3 characters."),
        (Annotated[str, Meta(max_length=1)], "xx", "Enter at most 1 character."),
        (Annotated[str, Meta(pattern="^a$")], "x", "This does not have the expected form."),
        (Annotated[int, Meta(ge=5)], "3", "Enter at least 5."),
        (Annotated[float, Meta(gt=5)], "3", "Enter more than 5.0."),
        (Annotated[float, Meta(lt=2)], "3", "Enter less than 2.0."),
        (Annotated[int, Meta(multiple_of=5)], "3", "Enter a multiple of 5."),
        (Annotated[list[str], Meta(min_length=2)], "x", "Enter at least 2 entries."),
    ],
)
def test_a_failure_is_said_in_words_for_people(kind: Any, text: str, said: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        jsontext.text_converter(defstruct("Form", [("field", kind)]))([("field", text)])

    assert field_errors(caught.value.errors) == {"field": said}


def test_the_first_failure_of_a_field_is_the_one_that_is_said() -> None:
    errors = [
        {"pointer": "/tags/0", "message": "Expected `int`, got `str`", "type": "type"},
        {"pointer": "/tags/1", "message": "Expected `str` of length <= 2", "type": "constraint"},
        {"pointer": "/a~1b~0", "message": "Missing required field `a/b~`", "type": "missing"},
        {"pointer": "/own", "message": "String should have at least 3 characters", "type": "string_too_short"},
        {"pointer": "", "message": "Expected `object`, got `array`", "type": "type"},
    ]

    assert field_errors(errors) == {
        "tags": "Enter a whole number.",
        "a/b~": "This is required.",
        "own": "String should have at least 3 characters",
    }
