"""``webhook``: signed events of any sender: Standard Webhooks, GitHub, Slack, or an HMAC of the body in one field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...errors import ConfigError
from ..changeset import ChangeSet, RouteClaim
from .base import (
    Argument,
    Recipe,
    check_env,
    check_name,
    check_path,
    env_in,
    fill,
    new_files,
    new_route,
    new_table,
    next_migration,
    path_in,
    slug,
)

if TYPE_CHECKING:
    from ..view import ProjectView

ROUTE = '''\
"""POST @PATH@: @SENDER@'s events, each checked and kept once.

A signature that is missing or wrong is 400. An event that came before is 200 and nothing more. One that cannot be
kept is 500, nothing of it stays, and it is kept when it is sent again.
"""

from turnout.db import Transaction
from turnout.webhooks import Event, @SCHEME@

from lib.@MODULE@ import keep_event

auth = "public"  # the signature is what lets a request in

hook = @SCHEME@.webhook(secrets="@SECRET@")


@hook.on("*")
async def any_event(event: Event, tx: Transaction) -> None:
    """Events that no function of their own takes; add @hook.on("some.type") beside this for those that matter."""
    await keep_event(tx, event.id, event.type, event.payload)


POST = hook
'''

HMAC_ROUTE = '''\
"""POST @PATH@: @SENDER@'s events, each checked and kept once.

The field @HEADER@ holds the HMAC-SHA256 of the body in hexadecimal digits, with or without "sha256=" before it.
A signature that is missing or wrong is 400. The event's id is in the signed body, so what came before is 200 and
nothing more, whoever sends it again. One that cannot be kept is 500, nothing of it stays, and it is kept when it is
sent again.
"""

from turnout import Request, Response, Secret, Settings
from turnout.webhooks import once

from lib.@MODULE@ import check_signature, keep_event, parse_event

auth = "public"  # the signature is what lets a request in
body_limit = "1 MB"


class Sender(Settings):
    """What the sender signs with; an empty one counts as missing, since anybody could sign with it."""

    @SETTING@: Secret


async def POST(request: Request) -> Response:
    """Check the bytes as they came, then read them."""
    body = await request.bytes()
    check_signature(body, request.headers.get("@FIELD@"), Sender().@SETTING@.reveal())
    event = parse_event(await request.json())
    async with once(event.id, event.type, scope="@PATH@") as tx:
        if tx:  # None: it has had its effect
            await keep_event(tx, event.id, event.type, event.payload)
    return Response.json({"received": True})
'''

LIB_HEAD = '''\
"""@SENDER@'s events as rows of our own, to be worked on later."""

from typing import Any

from turnout.db import Transaction

'''

HMAC_LIB_HEAD = '''\
"""@SENDER@'s events: whether they are signed, what is in them, and how they are kept."""

import hashlib
import hmac
from typing import Any

from msgspec import Struct
from turnout import BadRequest
from turnout.db import Transaction


class SignedEvent(Struct):
    """One event whose signature was right."""

    id: str
    type: str
    payload: dict[str, Any]


def check_signature(body: bytes, given: str | None, secret: str) -> None:
    """Check that who knows *secret* has signed *body*.

    Raises:
        BadRequest: nobody did; it never says how close it was.
    """
    wanted = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    signature = (given or "").removeprefix("sha256=").lower()
    # Compared as bytes, as text that is not ASCII would raise, and in the same time wherever they differ.
    if not hmac.compare_digest(signature.encode(), wanted.encode()):
        raise BadRequest("Invalid signature", code="invalid_signature")


def parse_event(found: Any) -> SignedEvent:
    """The event in the JSON of a body that is signed.

    Raises:
        BadRequest: it is no object with an id.
    """
    if not isinstance(found, dict) or not isinstance(found.get("id"), str):
        raise BadRequest("An event is a JSON object with an id")
    kind = found.get("type")
    return SignedEvent(found["id"], kind if isinstance(kind, str) else "", dict(found))

'''

LIB = '''
async def keep_event(tx: Transaction, id: str, type: str, payload: dict[str, Any]) -> None:
    """Keep one event, in the transaction that notes it as done."""
    await tx.from_("@TABLE@").insert({"id": id, "type": type, "payload": payload})
'''

MIGRATION = """\
-- @SENDER@'s events as they came; written by lib/@MODULE@.py.
create table @TABLE@ (
    id text primary key not null,
    type text not null,
    payload jsonb not null,
    received_at timestamptz not null default current_timestamp
);

create index @TABLE@_type on @TABLE@ (type, received_at);
"""

TEST = '''\
"""POST @PATH@: signed events are kept once; everything else leaves nothing."""

import asyncio
@TEST_IMPORTS@from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from turnout.db import db, migrate
from turnout.testing import Answer, Client
@TEST_TURNOUT@
ROOT = Path(__file__).parent.parent
SECRET = "@SAMPLE_SECRET@"


@pytest.fixture(autouse=True)
def own_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", str(tmp_path / "test.db"))
    monkeypatch.setenv("@SECRET@", SECRET)


def with_client(test: Callable[[Client], Awaitable[None]]) -> Callable[[], None]:
    """Run *test* on the app, with an empty database."""

    async def main() -> None:
        async with Client(root=ROOT) as client:
            await migrate.migrate(db, ROOT / "migrations")
            await test(client)

    return lambda: asyncio.run(main())

@SIGN@

async def send(client: Client, body: bytes, headers: dict[str, str]) -> Answer:
    fields = {"content-type": "application/json", **headers}
    return await client.post("@PATH@", body=body, headers=fields)


async def kept() -> list[dict[str, Any]]:
    return await db.from_("@TABLE@").select("id, type")


@with_client
async def test_a_signed_event_is_kept(client: Client) -> None:
    answer = await send(client, EVENT, sign(EVENT))

    assert (answer.status, answer.json()) == (200, {"received": True})
    assert await kept() == [{"id": "evt_1", "type": "@TYPE@"}]


@with_client
async def test_an_event_that_comes_three_times_is_kept_once(client: Client) -> None:
    assert [(await send(client, EVENT, sign(EVENT))).status for _ in range(3)] == [200, 200, 200]
    assert len(await kept()) == 1


@with_client
async def test_a_forged_and_a_missing_signature_are_refused(client: Client) -> None:
    assert (await send(client, EVENT, sign(EVENT, "@OTHER_SECRET@"))).status == 400
    assert (await send(client, EVENT, {})).status == 400
    assert await kept() == []


@with_client
async def test_a_signature_does_not_fit_another_body(client: Client) -> None:
    assert (await send(client, EVENT + b" ", sign(EVENT))).status == 400
    assert await kept() == []


@with_client
async def test_what_is_signed_and_no_event_is_refused(client: Client) -> None:
    for body in (b"", b"[]", b"{", b"null"):
        assert (await send(client, body, sign(body))).status == 400
    assert await kept() == []
@MORE@'''

STALE = """

@with_client
async def test_a_delivery_that_is_too_old_is_refused(client: Client) -> None:
    assert (await send(client, EVENT, sign(EVENT, age_s=600))).status == 400
    assert await kept() == []
"""

HMAC_MORE = """

@with_client
async def test_a_signature_in_strange_letters_is_refused_like_any_other(client: Client) -> None:
    for value in ("sha256=", "0" * 64, "é" * 64, "sha256=" + "0" * 10_000):
        assert (await send(client, EVENT, {"@FIELD@": value})).status == 400
"""

SIGN = {
    "standard": """
EVENT = b'{"type": "user.created", "data": {"name": "Ada"}}'


def sign(body: bytes, secret: str = SECRET, *, age_s: int = 0) -> dict[str, str]:
    return standard.sign(body, secret, message_id="evt_1", at_s=int(time.time()) - age_s)
""",
    "github": """
EVENT = b'{"action": "opened", "issue": {"number": 1}}'


def sign(body: bytes, secret: str = SECRET) -> dict[str, str]:
    fields = {"x-github-delivery": "evt_1", "x-github-event": "issues"}
    return {"x-hub-signature-256": github.sign(body, secret), **fields}
""",
    "slack": """
EVENT = b'{"type": "event_callback", "event_id": "evt_1", "event": {"type": "app_mention"}}'


def sign(body: bytes, secret: str = SECRET, *, age_s: int = 0) -> dict[str, str]:
    return slack.sign(body, secret, at_s=int(time.time()) - age_s)
""",
    "hmac": """
EVENT = b'{"id": "evt_1", "type": "user.created", "data": {"name": "Ada"}}'


def sign(body: bytes, secret: str = SECRET) -> dict[str, str]:
    return {"@FIELD@": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}
""",
}
SCHEMES = ("standard", "github", "slack", "hmac")
TYPES = {"github": "issues.opened", "slack": "app_mention"}


def plan(project: ProjectView, args: Mapping[str, str]) -> ChangeSet:
    """A route for a sender's events, and a table that keeps them."""
    given = RECIPE.complete(args)
    scheme, sender = given["scheme"], check_name(given["sender"], "name of a sender")
    if scheme not in SCHEMES:
        raise ConfigError(f"there is no scheme {scheme!r}", cure=f"one of {', '.join(SCHEMES)}")
    path = check_path(given["path"] or f"/api/webhooks/{sender.replace('_', '-')}")
    secret = check_env(given["secret"] or f"{sender.upper()}_WEBHOOK_SECRET")
    header = given["header"] or f"X-{sender.replace('_', '-').title()}-Signature"
    if not header.replace("-", "").isalnum() or not header.isascii():
        raise ConfigError(f"{header[:60]!r} is no name of a header field", cure="such as X-Signature")
    table = new_table(project, f"{sender}_events")
    timed = scheme in ("standard", "slack")
    words = {
        "sender": sender.replace("_", " ").capitalize() if sender != "github" else "GitHub",
        "path": path, "scheme": scheme, "secret": secret, "setting": secret.lower(), "header": header,
        "field": header.lower(), "table": table, "module": table, "type": TYPES.get(scheme, "user.created"),
        "test_imports": "import hashlib\nimport hmac\n" if scheme == "hmac" else "import time\n" if timed else "",
        "test_turnout": "" if scheme == "hmac" else f"from turnout.webhooks import {scheme}\n",
        "sample_secret": "whsec_b25seV9mb3JfdGVzdHM=" if scheme == "standard" else "only for tests",
        "other_secret": "whsec_b2Ygc29tZWJvZHkgZWxzZQ==" if scheme == "standard" else "of somebody else",
    }  # fmt: skip
    test = TEST.replace("@SIGN@", SIGN[scheme]).replace("@MORE@", STALE if timed else HMAC_MORE * (scheme == "hmac"))
    files = {
        new_route(project, path): fill(HMAC_ROUTE if scheme == "hmac" else ROUTE, **words),
        f"lib/{table}.py": fill((HMAC_LIB_HEAD if scheme == "hmac" else LIB_HEAD) + LIB, **words),
        f"{next_migration(project, table)}.sql": fill(MIGRATION, **words),
        f"tests/test_{slug(path)}.py": fill(test, **words),
    }
    return ChangeSet(
        summary=f"POST {path} takes the events of {words['sender']}: signatures are checked, and each event is kept "
        f"once, in the new table {table}.",
        contract=[RouteClaim("POST", path, "public", [200, 400, 413, 500])],
        files=new_files(project, files),
        env=[secret],
    )


_SENDERS = {"github": "github", "slack": "slack", "svix": "standard", "clerk": "standard", "resend": "standard"}
_HMACS = ("shopify", "twilio", "paypal", "paddle", "linear", "typeform", "calendly", "intercom", "zoom")


def read(ask: str) -> dict[str, str]:
    """The sender, how it signs, the path and the secret, where a sentence names them."""
    text = ask.lower()
    given = path_in(ask)
    secrets = [name for name in env_in(ask) if name.endswith(("SECRET", "KEY"))]
    if secrets:
        given["secret"] = secrets[0]
    if "standard webhooks" in text or "whsec_" in text:
        given["scheme"] = "standard"
    elif "hmac" in text:
        given["scheme"] = "hmac"
    for sender in (*_SENDERS, *_HMACS):
        if sender in text:
            given["sender"] = sender
            given.setdefault("scheme", _SENDERS.get(sender, "hmac"))
            break
    return given


RECIPE = Recipe(
    name="webhook",
    summary="signed events of any sender: Standard Webhooks, GitHub, Slack, or an HMAC of the body",
    plan=plan,
    arguments=(
        Argument("sender", "whose events they are", "partner"),
        Argument("scheme", "how they are signed: standard, github, slack, or hmac", "standard"),
        Argument("path", "where the route is; /api/webhooks/ and the sender if not given", ""),
        Argument("secret", "the variable that holds the secret", ""),
        Argument("header", "with hmac: the field that holds the signature", ""),
    ),
    signs=(
        (r"\bweb ?-?hooks?\b", 4),
        (r"\bsigned\b|\bsignatures?\b|\bhmac\b|\bstandard webhooks\b|\bwhsec_", 1.5),
        (r"\b(?:github|slack|svix|clerk|resend|shopify|paddle|linear|typeform|calendly|intercom|zoom)\b", 1.5),
        (r"\bevents?\b", 1),
        (r"\b(?:process|handle|receive|listen|accept|take)\b", 0.5),
        (r"\bstripe\b", -4),
        (r"\b(?:send|deliver|trigger|fire|dispatch|call)(?:s|ing)? (?:a |an |our |out )?(?:\w+ )?web ?-?hooks?\b", -5),
    ),
    read=read,
)
