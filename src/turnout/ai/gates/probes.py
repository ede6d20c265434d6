"""The probes of G5, one function each: ``await probe(bed, target)`` notes what it finds in the bed."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

from ...testing import Answer
from .probing import NUMBER, UUID, WEBHOOK_WORDS, Bed, Target, leaks, never_read
from .rows import AUTHORS, OWNERS, Rows, changed, lost, snapshot
from .values import fields, generated, wrong

WRITES = ("POST", "PUT", "PATCH", "DELETE")
UNJUDGED = (401, 403, 429)  # the probe did not get to what it asks about
HIGHEST_LIMIT = 64_000_000
MOST_FIELDS, MOST_CUTS = 6, 8


async def answers(bed: Bed, target: Target) -> None:
    """A request that fits is answered, and with a status that was promised."""
    answer = await bed.call(target, **_whole_request(bed, target))
    if answer.status < 400 and target.statuses and answer.status not in target.statuses:
        bed.found(
            target, "TRN205", f"answers {answer.status}, and the contract says {_listed(target.statuses)}",
            "say so in the contract, or answer as it says",
        )  # fmt: skip
    elif answer.status >= 400:
        bed.notes.append(f"{target.name}: no request that fits was found ({answer.status})")


def _listed(statuses: list[int]) -> str:
    return ", ".join(map(str, statuses))


async def wrong_method(bed: Bed, target: Target) -> None:
    """405 with Allow for a method that is not there."""
    absent = next((each for each in (*WRITES, "GET") if each not in target.methods), None)
    if absent is None:
        return
    answer = await bed.call(target, method=absent)
    if answer.status != 405 or target.method not in (answer.headers.get("allow") or ""):
        bed.found(target, "TRN231", f"{absent} is answered with {answer.status}", "export only what is answered")


async def malformed(bed: Bed, target: Target) -> None:
    """Bytes that are no JSON are 400, and so are none."""
    typed = bed.schema(target) is not None
    if not typed and not (".json(" in target.own and target.method in WRITES and not target.is_webhook):
        return
    headers = {"content-type": "application/json"}
    for body in (b'{"a":', b"", b"\xff\xfe", b"[" * 500):
        answer = await bed.call(target, body=body, headers=headers)
        if answer.status in UNJUDGED or answer.status == 400 or (not typed and 400 <= answer.status < 500):
            continue
        bed.found(
            target,
            "TRN232",
            f"the body {body[:8]!r} is answered with {answer.status}",
            "take body: Model, or request.json(Model)",
        )


async def misfits(bed: Bed, target: Target) -> None:
    """A missing field and one of a wrong type are 422."""
    schema = bed.schema(target)
    if schema is None:
        return
    known, required = fields(schema)
    whole = bed.content(target).get("json")
    if not isinstance(whole, dict):
        return
    for name in required[:MOST_FIELDS]:
        answer = await bed.call(target, json={key: value for key, value in whole.items() if key != name})
        _want_422(bed, target, answer, f"without {name}")
    for name in list(known)[:MOST_FIELDS]:
        odd = wrong(known[name], schema.get("$defs", {}))
        if odd is not None:
            answer = await bed.call(target, json={**whole, name: odd})
            _want_422(bed, target, answer, f"{name}={odd!r}")


def _want_422(bed: Bed, target: Target, answer: Answer, what: str) -> None:
    if answer.status not in (422, *UNJUDGED):
        bed.found(
            target, "TRN233", f"{what} is answered with {answer.status}", "name the type of each field in the model"
        )


async def unknown_fields(bed: Bed, target: Target) -> None:
    """What a model does not have must not reach a row: id, owner, role."""
    content = bed.content(target)
    if target.method not in ("POST", "PUT", "PATCH") or not isinstance(content.get("json"), dict):
        return
    schema = bed.schema(target)
    known = fields(schema)[0] if schema else {}
    planted = {name: value for name, value in _planted(bed).items() if name not in known}
    before = await snapshot()
    # Together they may be refused for one of them, so each is sent alone too.
    for extra in (planted, *({name: value} for name, value in planted.items())):
        await bed.call(target, json={**content["json"], **extra})
        for table, row in changed(before, await snapshot()):
            for name in extra.keys() & row.keys():
                if _is_same(row[name], extra[name]):
                    bed.found(
                        target, "TRN234", f"{name} of {table} is what the caller sent",
                        "take a model without it, and name the columns in insert() and update()",
                    )  # fmt: skip
        await bed.kept.restore()


def _planted(bed: Bed) -> dict[str, Any]:
    owner = bed.people.get("mallory", "mallory")
    return {
        "id": 987_654, "user_id": owner, "owner_id": owner, "role": "planted-admin", "is_admin": True,
        "created_at": "1999-01-01T00:00:00Z", "updated_at": "1999-01-01T00:00:00Z",
    }  # fmt: skip


def _is_same(stored: Any, sent: Any) -> bool:
    if isinstance(sent, bool):
        return stored in (True, 1)
    return str(stored)[:10] == str(sent)[:10] if "1999-" in str(sent) else str(stored) == str(sent)


async def no_credentials(bed: Bed, target: Target) -> None:
    """401 without credentials and with bad ones, before anybody has read the body."""
    if target.is_open:
        if "require_user(" in target.own:
            await _refuses_strangers(bed, target)
        return
    for headers in ({}, {"authorization": "Bearer x"}, {"authorization": "Basic YTpi"}, {"apikey": "x"}):
        read: list[bool] = []
        content: dict[str, Any] = {"body": never_read(read)} if target.method in WRITES else {}
        answer = await bed.call(target, person=None, headers={"content-type": "application/json", **headers}, **content)
        if answer.status not in (401, 403):
            bed.found(
                target, "TRN235", f"answers {answer.status} to who has no credentials",
                "leave the refusal to the auth constant; no error.py may turn it into an answer",
            )  # fmt: skip
        elif read:
            bed.found(
                target, "TRN236", "the body is read before the credentials are judged", 'auth = "user" at the top'
            )


async def _refuses_strangers(bed: Bed, target: Target) -> None:
    answer = await bed.call(target, person=None, **bed.content(target))
    if answer.status < 400:
        bed.found(target, "TRN235", f"answers {answer.status} to who has no credentials", 'auth = "user" at the top')


async def other_people(bed: Bed, target: Target) -> None:
    """Another user neither sees nor changes a row that has an owner; a stranger changes none at all."""
    owned = _owned(bed.seeded, OWNERS)
    personal = target.config.auth == "user" or (target.is_open and "require_user" in target.source)
    if personal and owned:
        answer = await bed.call(target, person="mallory", **bed.content(target))
        if answer.status < 400 and leaks(answer, owned, bed.seeded):
            bed.found(
                target,
                "TRN237",
                f"shows a user the rows of another ({', '.join(owned)})",
                'add .eq("user_id", user.id)',
            )
        _unchanged(bed, target, _owned(bed.seeded, AUTHORS), await snapshot(), "TRN237", "a user changes another's row")
    if target.is_open and target.method in WRITES and not target.is_webhook:
        await bed.kept.restore()
        await bed.call(target, person=None, **bed.content(target))
        _unchanged(
            bed, target, _owned(bed.seeded, AUTHORS), await snapshot(), "TRN238", "a stranger changes a user's row"
        )


def _owned(rows: Rows, columns: tuple[str, ...]) -> list[str]:
    return [name for name, found in rows.items() if found and set(columns) & found[0].keys() and name != "auth_users"]


def _unchanged(bed: Bed, target: Target, tables: list[str], now: Rows, code: str, what: str) -> None:
    for table, _ in lost({name: bed.seeded[name] for name in tables}, now):
        bed.found(target, code, f"{what} of {table}", 'auth = "user", and .eq("user_id", user.id) in the query')


ODD_PARTS = (
    "..",
    "%2e%2e",
    "%00",
    "%27",
    "%22%3B--",
    "%27%20or%20%271%27=%271",
    "9" * 40,
    "-1",
    "%FF",
    "a%2Fb",
    "%0d%0a",
)
_ESCAPES = ("..", "%2e%2e", "%00", "%FF")


async def odd_paths(bed: Bed, target: Target) -> None:
    """Dots, quotes, NUL and huge numbers in a path parameter find nothing."""
    for segment in target.pattern.segments:
        if segment.kind == "static":
            continue
        for part in ODD_PARTS:
            path = bed.path(target, **{segment.name: part})
            answer = await bed.call(target, path, **bed.content(target))
            fits = part == "-1" or target.kinds.get(segment.name) is not int
            if answer.status < 300 and (part in _ESCAPES or not fits or leaks(answer, list(bed.seeded), bed.seeded)):
                bed.found(target, "TRN241", f"{segment.name}={part} is answered with {answer.status}", "bind the value")


async def too_large(bed: Bed, target: Target) -> None:
    """One byte over the limit is 413, told beforehand or not."""
    if target.method not in ("POST", "PUT", "PATCH"):
        return
    limits = bed.project.config.limits
    typed = bed.schema(target) is not None or ".json(" in target.own
    limit = target.config.body_limit or (limits.json_bytes if typed else limits.body_bytes)
    if limit > HIGHEST_LIMIT:
        bed.found(target, "TRN242", f"the limit of {limit} bytes is none", 'body_limit = "1 MB"')
        return
    reads = (
        typed or target.has_body or any(word in target.own for word in (".text(", ".bytes(", ".stream(", ".form_data("))
    )
    if not (reads or target.is_webhook):
        return
    for headers in ({"content-length": str(limit + 1)}, {}):
        kind = {"content-type": "application/json"} if typed else {}
        signed = _signature_fields(target)
        answer = await bed.call(target, body=_pieces(limit + 1), headers={**kind, **signed, **headers})
        # 415: what is no form is refused before any of it is read.
        if answer.status not in (413, 415, *UNJUDGED):
            bed.found(target, "TRN242", f"{limit + 1} bytes are answered with {answer.status}", 'body_limit = "1 MB"')


async def _pieces(size: int) -> Any:
    piece = b" " * 65_536
    while size > 0:
        yield piece[:size]
        size -= len(piece)


def _signature_fields(target: Target) -> dict[str, str]:
    """Fields that look signed, so that a webhook goes on to the body."""
    return dict.fromkeys(target.handler._signed_by, "t=1,v1=00") if target.is_webhook else {}


async def generated_bodies(bed: Bed, target: Target) -> None:
    """Twenty-five made-up bodies; ``call`` finds what fails."""
    if target.method not in ("POST", "PUT", "PATCH"):
        return
    content = bed.content(target)
    for value in generated(bed.schema(target), 25):
        if "form" in content or "multipart" in content.get("headers", {}).get("content-type", ""):
            names = content.get("form", {"file": ""})
            texts = value if isinstance(value, dict) else {name: str(value) for name in names}
            await bed.call(target, form={name: _plain(each) for name, each in texts.items()})
        else:
            await bed.call(target, body=json.dumps(value).encode(), headers={"content-type": "application/json"})


def _plain(value: Any) -> str:
    return str(value).encode(errors="replace").decode()


async def signatures(bed: Bed, target: Target) -> None:
    """A bad, missing or old signature is refused, and an event sent again has one effect."""
    if target.signer is not None:
        await _signed(bed, target, *target.signer)
    elif target.method == "POST" and target.is_open and _is_like_webhook(target):
        for headers in ({}, {"stripe-signature": "t=1,v1=00", "x-hub-signature-256": "sha256=00", "x-signature": "00"}):
            body = {"id": "evt_1", "type": "checkout.session.completed", "data": {"object": {"id": "cs_1"}}}
            answer = await bed.call(target, json=body, headers=headers, person=None)
            if answer.status < 400:
                bed.found(
                    target,
                    "TRN239",
                    f"an event that nobody signed is answered with {answer.status}",
                    "POST = stripe.webhook(secrets=...), from turnout.webhooks",
                )


def _is_like_webhook(target: Target) -> bool:
    return "webhook" in target.pattern.text.lower() or (target.config.auth in WEBHOOK_WORDS)


async def _signed(bed: Bed, target: Target, provider: str, variable: str) -> None:
    secret = _secret(variable)
    if secret is None:
        bed.notes.append(f"{target.name}: its secret is in no variable, so nothing could be signed")
        return
    now_s = int(time.time())
    payload, event_id, kind = _event(provider, target.handler, now_s)
    other = secret[:-6] + ("AAAAA=" if not secret.endswith("AAAAA=") else "BBBBB=")
    refused = {
        "no signature": {},
        "a bad signature": _sign(provider, payload, other, event_id, kind, now_s),
        "the signature of another body": _sign(provider, payload + b" ", secret, event_id, kind, now_s),
    }
    if provider != "github":
        refused["a signature of yesterday"] = _sign(provider, payload, secret, event_id, kind, now_s - 86_400)
    before = await snapshot()
    for what, headers in refused.items():
        answer = await bed.call(target, body=payload, headers=headers)
        if answer.status < 400 or changed(before, await snapshot()):
            bed.found(target, "TRN239", f"{what} is answered with {answer.status}", "verify before anything is done")
    good = _sign(provider, payload, secret, event_id, kind, now_s)
    await bed.call(target, body=payload, headers=good)
    once = await snapshot()
    await bed.call(target, body=payload, headers=good)
    if changed(once, await snapshot()) or lost(once, await snapshot()):
        bed.found(target, "TRN240", "an event sent twice has two effects", "write through tx, the second argument")


def _secret(variable: str) -> str | None:
    """The first of the secrets in *variable*."""
    return next(iter(os.environ.get(variable, "").split()), None)


def _event(provider: str, handler: Any, now_s: int) -> tuple[bytes, str, str]:
    """A body as *provider* would send it, its id and its type: one that the handler takes, where that is known."""
    from ...webhooks.samples import sample

    common = {"stripe": "checkout.session.completed", "github": "push", "slack": "message", "standard": "user.created"}
    taken = [name for name in getattr(handler, "_handlers", ()) if name != "*"]
    kind = taken[0] if taken else common[provider]
    event_id, body = sample(provider, kind, {}, now_s)
    return json.dumps(body).encode(), event_id, kind


def _sign(provider: str, payload: bytes, secret: str, event_id: str, kind: str, at_s: int) -> dict[str, str]:
    from ...webhooks import github, slack, standard, stripe

    fields = {"content-type": "application/json"}
    if provider == "stripe":
        return {**fields, stripe.HEADER: stripe.sign(payload, secret, at_s=at_s)}
    if provider == "standard":
        return {**fields, **standard.sign(payload, secret, message_id=event_id, at_s=at_s)}
    if provider == "slack":
        return {**fields, **slack.sign(payload, secret, at_s=at_s)}
    named = {"x-github-event": kind.partition(".")[0], "x-github-delivery": event_id}
    return {**fields, **named, github.HEADER: github.sign(payload, secret)}


async def cut_short(bed: Bed, target: Target) -> None:
    """A request that is broken off after any of its waits for the database leaves nothing, or all of it."""
    if target.method not in WRITES:
        return
    content = _whole_request(bed, target)
    before = await _counts()
    with _Scissors() as scissors:
        answer = await bed.call(target, **content)
    full = _difference(before, await _counts())
    if answer.status >= 400 or scissors.waits < 2 or not full:
        return
    for at in range(1, min(scissors.waits, MOST_CUTS) + 1):
        await bed.kept.restore()
        with _Scissors(at):
            task = asyncio.create_task(bed.call(target, **content))
            await asyncio.wait([task], timeout=15)
            if not task.done():
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        left = _difference(before, await _counts())
        if left and left != full:
            bed.found(
                target, "TRN245", f"broken off, it leaves {left} of {full}",
                "put what belongs together in: async with db.transaction() as tx",
            )  # fmt: skip


def _whole_request(bed: Bed, target: Target) -> dict[str, Any]:
    secret = _secret(target.signer[1]) if target.signer else None
    if target.signer is None or secret is None:
        return bed.content(target)
    provider, now_s = target.signer[0], int(time.time())
    payload, event_id, kind = _event(provider, target.handler, now_s)
    return {"body": payload, "headers": _sign(provider, payload, secret, event_id, kind, now_s)}


async def _counts() -> dict[str, int]:
    """Rows by table, with what Turnout notes of mail, tasks and events."""
    from ...db import db
    from ...errors import TurnoutError

    found = {name: len(rows) for name, rows in (await snapshot()).items()}
    for name in ("_turnout_outbox", "_turnout_webhook_events"):
        try:
            found[name] = (await db.sql("select count(*) as n from " + name))[0]["n"]
        except TurnoutError:
            found[name] = 0
    return found


def _difference(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    names = before.keys() | after.keys()
    found = {name: after.get(name, 0) - before.get(name, 0) for name in sorted(names)}
    return {name: count for name, count in found.items() if count}


class _Scissors:
    """Counts the waits for the database, and cancels the task after the one at *cut*."""

    def __init__(self, cut: int = 0) -> None:
        self.cut, self.waits = cut, 0
        self._was: list[tuple[Any, Any]] = []

    def __enter__(self) -> _Scissors:
        from ...db.database import Database, Scoped, Transaction

        for kind in (Database, Scoped, Transaction):
            later = kind.later
            self._was.append((kind, later))
            kind.later = self._counting(later)  # type: ignore[assignment, method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        for kind, later in self._was:
            kind.later = later

    def _counting(self, later: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def counted(*args: Any) -> Any:
            result = await later(*args)
            self.waits += 1
            if self.waits == self.cut:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                await asyncio.sleep(0)
            return result

        return counted


PROBES: tuple[Callable[[Bed, Target], Awaitable[None]], ...] = (
    answers,
    wrong_method,
    malformed,
    misfits,
    unknown_fields,
    no_credentials,
    other_people,
    odd_paths,
    too_large,
    generated_bodies,
    signatures,
    cut_short,
)

__all__ = ["NUMBER", "PROBES", "UUID"]
