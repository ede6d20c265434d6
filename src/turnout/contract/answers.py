"""The answers of one operation, gathered by status: what its functions reply and what is refused around them."""

from __future__ import annotations

from typing import Any

from ..http import problem
from ..routing.module import RouteConfig
from . import known
from .known import Refusal
from .model import REF, Answer, Schema
from .source import Reply

PROBLEM = "Problem"
_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}


class Answers:
    """The answers of one operation, by status."""

    def __init__(self) -> None:
        self.said: dict[int, list[str]] = {}
        self.media: dict[int, dict[str, list[Schema]]] = {}
        self.headers: dict[int, dict[str, dict[str, Any]]] = {}
        self.codes: dict[int, set[str]] = {}

    def reply(self, reply: Reply, status: int | None = None) -> None:
        """Add what a function answers; status 0 stands for those that nobody knows before."""
        number = reply.status if reply.status is not None else status or 0
        media = self._of(number)
        if reply.media is not None:
            kinds = media.setdefault(reply.media, [])
            if reply.schema not in kinds:
                kinds.append(reply.schema)
        for name in reply.headers:
            self.headers[number][name] = {"schema": _TEXT, "required": True}

    def refusal(self, refusal: Refusal) -> None:
        """Add a problem."""
        number = refusal.status
        self._of(number)[problem.PROBLEM] = [{"$ref": REF + PROBLEM}]
        if refusal.code:
            self.codes[number].add(refusal.code)
        if refusal.detail and refusal.detail not in self.said[number]:
            self.said[number].append(refusal.detail)
        if refusal == known.SIGNED_OUT:
            self.headers[number]["WWW-Authenticate"] = {"schema": _TEXT}
        if number in (429, 503):
            self.headers[number]["Retry-After"] = {"description": "Seconds to wait.", "schema": _COUNT}

    def from_error_files(self, replies: list[Reply], as_raised: bool) -> None:
        """Add what ``error.py`` files answer in the place of problems."""
        problems = [number for number, media in self.media.items() if problem.PROBLEM in media]
        for reply in replies:
            for number in problems if reply.status is None and as_raised else [None]:
                self.reply(reply, number)

    def limits(self, config: RouteConfig) -> None:
        """Add the fields that tell how much of a limit is left."""
        if config.rate_limit is not None:
            for number, headers in self.headers.items():
                if 200 <= number < 300 or number == 429:
                    headers["RateLimit"] = {"schema": _TEXT}
                    headers["RateLimit-Policy"] = {"schema": _TEXT}

    def made(self, *, bodiless: bool) -> list[Answer]:
        return [
            Answer(
                number,
                ". ".join(self.said[number]) or (problem.title(number) if number else "Any other answer"),
                {} if bodiless else {kind: _either(schemas) for kind, schemas in self.media[number].items()},
                self.headers[number],
                sorted(self.codes[number]),
            )
            for number in sorted(self.media, key=lambda number: number or 1_000)
        ]

    def _of(self, number: int) -> dict[str, list[Schema]]:
        self.said.setdefault(number, [])
        self.headers.setdefault(number, {})
        self.codes.setdefault(number, set())
        return self.media.setdefault(number, {})


def _either(schemas: list[Schema]) -> Schema:
    """One schema for what has any of *schemas*."""
    different = [each for at, each in enumerate(schemas) if each not in schemas[:at]]
    if {} in different or not different:
        return {}
    return different[0] if len(different) == 1 else {"anyOf": different}
