"""What of a contract breaks those who call, and what lets in more than before.

Two operations are the same where a request would reach either: the names of the slugs do not count. What clients send
has to go on being taken, what they are answered to go on being what they were promised (``fits.py``). How the two
contracts are had is the command's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from .fits import Direction, misfits
from .model import Answer, Content, Contract, Cors, Operation, Parameter, Schema

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
# What a page of any site can send without being asked whether it may: the simple types of the Fetch standard.
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain", "*/*")
# Given to who has asked by a header field for no more than that, who takes 200 as well.
ASKED_FOR = (206, 304)
_slug = re.compile(r"\[(\.\.\.)?[^\[\]]+\]")


class Change(Struct, frozen=True):
    """One thing that is not as it was.

    Args:
        kind: ``breaking``: a call that was right may fail, or its answer not be understood. ``security``: more may be
            done, by more, or more often.
        code: What kind of change, such as ``parameter-required``.
        operation: As it was called: ``GET /api/posts/[id]``.
        at: The place in it: ``query page``, ``body /title``, ``answer 200 /id``; empty for all of it.
    """

    kind: Literal["breaking", "security"]
    code: str
    operation: str
    at: str
    text: str


def diff(old: Contract, new: Contract) -> list[Change]:
    """Every breaking and every security-relevant change, by operation."""
    then, now = _by_shape(old), _by_shape(new)
    paths = {path for path, _ in now}
    changes: list[Change] = []
    for key, operation in then.items():
        if key in now:
            changes += _Pair(operation, now[key], old.schemas, new.schemas).changes()
        elif key[0] in paths:
            changes.append(Change("breaking", "method-removed", _called(operation), "", "is not allowed any more"))
        else:
            changes.append(Change("breaking", "operation-removed", _called(operation), "", "is gone"))
    for key, operation in now.items():
        if key not in then and operation.method in WRITES and operation.auth is None:
            text = "is new, writes, and asks nobody who they are"
            changes.append(Change("security", "open-write-added", _called(operation), "", text))
    return sorted(changes, key=lambda each: (each.operation.partition(" ")[2], each.operation, each.kind, each.at))


def is_automatic(operation: Operation, contract: Contract) -> bool:
    """Whether Turnout alone answers so: a HEAD or OPTIONS that stands where another operation does."""
    return operation.method in ("HEAD", "OPTIONS") and any(
        (each.path, each.file, each.line) == (operation.path, operation.file, operation.line)
        for each in contract.operations
        if each.method not in ("HEAD", "OPTIONS")
    )


def _by_shape(contract: Contract) -> dict[tuple[str, str], Operation]:
    """The operations by what a request sees of them: the path without the names of its slugs, and the method."""
    own = [each for each in contract.operations if not is_automatic(each, contract)]
    return {(_slug.sub(r"[\1]", each.path), each.method): each for each in own}


def _called(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


class _Pair:
    """One operation, as it was and as it is."""

    def __init__(self, old: Operation, new: Operation, old_schemas: Schema, new_schemas: Schema) -> None:
        self.old, self.new = old, new
        self.schemas = old_schemas, new_schemas

    def changes(self) -> Iterator[Change]:
        yield from self.parameters()
        yield from self.body()
        yield from self.answers()
        yield from self.auth()
        yield from self.limits()
        yield from self.cors()

    def breaking(self, code: str, at: str, text: str) -> Change:
        return Change("breaking", code, _called(self.old), at, text)

    def security(self, code: str, at: str, text: str) -> Change:
        return Change("security", code, _called(self.old), at, text)

    def schema(self, old: object, new: object, direction: Direction, what: str, at: str) -> Iterator[Change]:
        for each in misfits(old, new, direction, *self.schemas):
            yield self.breaking(f"{what}-{each.code}", f"{at} {each.at}".strip(), each.text)

    # -- what is sent

    def parameters(self) -> Iterator[Change]:
        then, now = _parameters(self.old), _parameters(self.new)
        for key, parameter in then.items():
            at = f"{parameter.place} {parameter.name}"
            if key not in now:
                yield self.breaking("parameter-removed", at, "is read no more")
                continue
            if now[key].required and not parameter.required:
                yield self.breaking("parameter-required", at, "is required now")
            yield from self.schema(parameter.schema, now[key].schema, "input", "parameter", at)
        for key, parameter in now.items():
            if key not in then and parameter.required:
                at = f"{parameter.place} {parameter.name}"
                yield self.breaking("parameter-required", at, "is new and required")

    def body(self) -> Iterator[Change]:
        old, new = self.old.body, self.new.body
        if old is None or new is None:
            if old is not None:
                yield self.breaking("body-removed", "body", "is read no more")
            elif new is not None and new.required:
                yield self.breaking("body-required", "body", "is new and required")
        else:
            if new.required and not old.required:
                yield self.breaking("body-required", "body", "is required now")
            for media, schema in old.media.items():
                found = _takes(new, media)
                if found is None:
                    yield self.breaking("body-media-removed", "body", f"may not be {media} any more")
                else:
                    yield from self.schema(schema, new.media[found], "input", "body", _at("body", media, old.media))
        yield from self.forms(old, new)

    def forms(self, old: Content | None, new: Content | None) -> Iterator[Change]:
        """What a form of another site's page could send now, and could not before."""
        had = set(FORMS) & set(old.media) if old is not None else set()
        has = set(FORMS) & set(new.media) if new is not None else set()
        if has and not had and self.new.method in WRITES:
            text = f"may be {' or '.join(sorted(has))} now, which forms of other sites can send"
            yield self.security("form-accepted", "body", text)

    # -- what is answered

    def answers(self) -> Iterator[Change]:
        then, now = (
            {each.status: each for each in operation.answers if each.status not in ASKED_FOR}
            for operation in (self.old, self.new)
        )
        gone = [status for status in then if status not in now]
        come = [status for status in now if status not in then]
        for status in gone:
            if status < 400:
                yield self.breaking("status-removed", f"answer {status or 'any'}", "is not given any more")
            elif new_errors := [str(each) for each in come if each >= 400]:
                # An error that cannot happen any more hurts nobody; one that is called otherwise now does.
                text = f"is not given any more, while {' and '.join(new_errors)} may be"
                yield self.breaking("status-removed", f"answer {status}", text)
        for status in come:
            if status < 400 and 0 not in then:
                yield self.breaking("status-added", f"answer {status or 'any'}", "may be given now")
        for status in then:
            if status in now:
                yield from self.answer(then[status], now[status])

    def answer(self, old: Answer, new: Answer) -> Iterator[Change]:
        at = f"answer {old.status or 'any'}"
        for media, schema in old.media.items():
            if media in new.media:
                yield from self.schema(schema, new.media[media], "output", "answer", _at(at, media, old.media))
            elif "*/*" not in (media, *new.media):
                yield self.breaking("answer-media-removed", at, f"is {media} no more")
        for media in new.media:
            if media not in old.media and (media == "*/*" or not old.media):
                yield self.breaking("answer-media-added", at, f"may be {'anything' if media == '*/*' else media} now")
        for code in old.codes:
            # Where no code is left the status is given for other reasons now; where others are it was renamed.
            if code not in new.codes and set(new.codes) - set(old.codes):
                yield self.breaking("code-removed", at, f"has the code {code} no more")
        fields = {name.lower() for name in new.headers}
        for name in old.headers:
            if name.lower() not in fields:
                yield self.breaking("answer-field-removed", at, f"has no {name} any more")

    # -- who may call, and how often

    def auth(self) -> Iterator[Change]:
        old, new = self.old.auth, self.new.auth
        before, after = _rank(old), _rank(new)
        if old == new or before == after == 0:
            return
        if after == 0:
            yield self.security("auth-removed", "auth", f"asks nobody who they are any more; it was {old!r}")
        elif after < before:
            yield self.security("auth-weakened", "auth", f"is {new!r} now, no longer {old!r}")
        elif after == before:
            yield self.security("auth-changed", "auth", f"is {new!r} now, no longer {old!r}")
        if after >= before:
            text = f"asks for {new!r} now" if before == 0 else f"asks for {new!r} now, no longer for {old!r}"
            yield self.breaking("auth-required", "auth", text)

    def limits(self) -> Iterator[Change]:
        before, after = self.old.rate_limit, self.new.rate_limit
        if before != after and before is not None:
            if after is None:
                yield self.security("rate-limit-removed", "rate_limit", f"is gone; it was {before}")
            elif _rate(after) > _rate(before):
                yield self.security("rate-limit-raised", "rate_limit", f"is {after} now, no longer {before}")
        old, new = self.old.body_limit, self.new.body_limit
        if old == new:
            return
        if old is not None and new is not None and new < old:
            yield self.breaking("body-limit-lowered", "body_limit", f"is {new:,} bytes now, no longer {old:,}")
        else:
            # The project's own limit is not known here: which of the two is more has to be looked at.
            was, now = (f"{each:,} bytes" if each is not None else "the project's" for each in (old, new))
            yield self.security("body-limit-raised", "body_limit", f"is {now} now, no longer {was}")

    def cors(self) -> Iterator[Change]:
        old, new = self.old.cors or Cors([]), self.new.cors or Cors([])
        more = [each for each in new.origins if each not in old.origins and "*" not in old.origins]
        less = [each for each in old.origins if each not in new.origins and "*" not in new.origins]
        if more:
            yield self.security("cors-widened", "cors", f"lets pages of {', '.join(sorted(more))} read the answers")
        if new.credentials and not old.credentials:
            yield self.security("cors-widened", "cors", "lets pages of other sites call with their visitors' cookies")
        if less:
            yield self.breaking("cors-narrowed", "cors", f"lets pages of {', '.join(sorted(less))} read no more")
        elif old.credentials and not new.credentials:
            yield self.breaking("cors-narrowed", "cors", "lets pages of other sites bring no cookies any more")


def _parameters(operation: Operation) -> dict[tuple[str, str | int], Parameter]:
    """By place and name; those of the path by where they stand in it, and header fields whatever their case."""
    order = [name for _, name in re.findall(r"\[(\.\.\.)?([^\[\]]+)\]", operation.path)]
    found: dict[tuple[str, str | int], Parameter] = {}
    for each in operation.parameters:
        if each.place == "path" and each.name in order:
            found["path", order.index(each.name)] = each
        else:
            found[each.place, each.name.lower() if each.place == "header" else each.name] = each
    return found


def _takes(body: Content, media: str) -> str | None:
    """The media type of *body* that takes *media*."""
    ranges = (media, f"{media.partition('/')[0]}/*", "*/*")
    return next((each for each in ranges if each in body.media), None)


def _at(at: str, media: str, all_media: Schema) -> str:
    return at if len(all_media) == 1 else f"{at} {media}"


def _rank(auth: str | None) -> int:
    """How few may call: nobody asked, any user, some users, machines alone."""
    word = (auth or "public").partition(":")[0]
    return {"public": 0, "user": 1, "secret": 3, "service": 3}.get(word, 2)


def _rate(text: str) -> float:
    from ..ratelimit import parse_rate

    try:
        limit, length_us = parse_rate(text)
    except ValueError:  # of another version: whatever it is counts as more
        return float("inf")
    return limit / length_us
