"""Rows to comma-separated values and back, as PostgREST writes and reads them.

Follows RFC 4180 with a line feed between lines and none at the end. NULL is an empty field on the
way out and the word ``NULL`` on the way in; a boolean is ``t`` or ``f``, an array ``{a,b}``, JSON
is JSON. Unlike PostgREST's own, a timestamp keeps its ISO form, so that both engines write the same.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from .errors import error


def to_csv(rows: Sequence[dict[str, Any]]) -> bytes:
    """*rows* with a line of names above them; no rows give nothing."""
    if not rows:
        return b""
    lines = [",".join(map(_quoted, rows[0]))]
    lines += [",".join(_field(value) for value in row.values()) for row in rows]
    return "\n".join(lines).encode()


def _quoted(text: str) -> str:
    if text == "" or any(letter in '",\n\r\\' or letter.isspace() for letter in text):
        return '"' + text.replace('"', '""') + '"'
    return text


def _field(value: Any) -> str:
    return "" if value is None else _quoted(_text(value))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, (int, float, Decimal, str)):
        return str(value)
    if isinstance(value, list) and not any(isinstance(item, (dict, list)) for item in value):
        return "{" + ",".join(_member(item) for item in value) + "}"
    return json.dumps(value, ensure_ascii=False, default=str)  # spaced as PostgreSQL writes jsonb


def _member(value: Any) -> str:
    if value is None:
        return "NULL"
    text = _text(value)
    if text == "" or text.lower() == "null" or any(letter in '{},"\\' or letter.isspace() for letter in text):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text


def parse_csv(text: str) -> list[dict[str, Any]]:
    """The rows below the line of names; every value is text, or None for ``NULL``."""
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as exc:
        raise error("PGRST102", f"the body is not CSV: {exc}") from None
    lines = [line for line in lines if line]
    if not lines:
        raise error("PGRST102", "the body is empty, and its first line names the columns")
    names = lines[0]
    if len(set(names)) != len(names):
        raise error("PGRST102", "a column is named twice in the first line")
    if any(len(line) != len(names) for line in lines):
        raise error("PGRST102", "All lines must have same number of fields")
    return [dict(zip(names, (None if value == "NULL" else value for value in line), strict=True)) for line in lines[1:]]
