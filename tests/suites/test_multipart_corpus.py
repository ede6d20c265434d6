"""The bodies of python-multipart's own tests, through our reader, cut in every way."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from turnout.errors import BadRequest
from turnout.http.form import FormData, FormLimits, MultipartReader, UploadFile, parse_form

SUITES = os.environ.get("TURNOUT_SUITES")
# The .yaml says "--boundary", which the body does not hold; upstream too gives this one its boundary by hand.
BOUNDARIES = {"single_field_blocks": "boundary"}

pytestmark = pytest.mark.skipif(not SUITES, reason="TURNOUT_SUITES is not set: the bodies are outside this repository")


def cases() -> list[Path]:
    return sorted(Path(SUITES, "multipart", "tests", "test_data", "http").glob("*.http")) if SUITES else []


def cuts(body: bytes) -> Iterable[list[bytes]]:
    yield [body]
    yield [body[i : i + 1] for i in range(len(body))]
    chance = random.Random(20261122)
    for _ in range(20):
        places = sorted(chance.sample(range(1, len(body)), min(chance.randint(1, 12), len(body) - 1)))
        yield [body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)]


async def chunked(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def described(form: FormData) -> list[dict[str, Any]]:
    """The parts as the expectations describe them, and every file closed."""
    parts: list[dict[str, Any]] = []
    for name, value in form:
        if isinstance(value, UploadFile):
            kind = {"type": "file", "file_name": value.filename, "content_type": value.content_type}
            parts.append({"name": name, **kind, "data": value.file.read()})
        else:
            parts.append({"name": name, "type": "field", "data": value.encode()})
    form.close()
    return parts


def expected_of(case: Path) -> tuple[str, list[dict[str, Any]] | None]:
    data = yaml.safe_load(case.with_suffix(".yaml").read_text())
    boundary = BOUNDARIES.get(case.stem, data["boundary"])
    if isinstance(data["expected"], dict):
        return boundary, None
    for part in data["expected"]:
        if part["type"] == "field":
            part.pop("content_type", None)  # a field's type is not kept
    return boundary, data["expected"]


def test_every_case_is_here() -> None:
    assert len(cases()) == 30


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.stem)
def test_a_body_gives_the_same_form_however_it_arrives(case: Path) -> None:
    boundary, expected = expected_of(case)
    for pieces in cuts(case.read_bytes()):
        form = parse_form(f'multipart/form-data; boundary="{boundary}"', chunked(pieces))
        if expected is None:
            with pytest.raises(BadRequest):
                asyncio.run(form)
        else:
            assert described(asyncio.run(form)) == expected


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.stem)
def test_the_reader_itself_does_not_depend_on_the_cuts(case: Path) -> None:
    # parse_form puts small chunks together, so the bare reader is cut as well.
    boundary, expected = expected_of(case)
    for pieces in cuts(case.read_bytes()):
        reader = MultipartReader(boundary, FormLimits())
        try:
            for piece in pieces:
                reader.feed(piece)
            assert described(reader.finish()) == expected
        except BadRequest as exc:
            reader.close()
            assert expected is None, exc
