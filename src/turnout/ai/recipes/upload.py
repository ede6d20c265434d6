"""``upload``: signed-in users keep pictures and PDFs, and read back their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...errors import ConfigError
from ..changeset import ChangeSet, RouteClaim
from .base import Argument, Recipe, fill, new_files, new_route, new_table, next_migration, path_in, slug

if TYPE_CHECKING:
    from ..view import ProjectView

ROUTE = '''\
"""POST and GET @PATH@: keep a file, and list what one has kept.

Send a form with the field "file". What a file is, is told by its first bytes; neither its name nor what the client
says it is decides anything.
"""

from typing import Any

from turnout import FormData, Request, Response, UploadFile, ValidationFailed

from lib.uploads import keep_file, list_files

auth = "user"  # each user sees their own
rate_limit = "30/min"
body_limit = "@LIMIT@"


async def GET(request: Request) -> list[dict[str, Any]]:
    """The newest files of the user."""
    return await list_files(request.state.user.id)


async def POST(request: Request, body: FormData) -> Response:
    """Keep one."""
    file = body.get("file")
    if not isinstance(file, UploadFile):
        failure = {"pointer": "/file", "message": "is no file", "type": "file"}
        raise ValidationFailed("Send a file as the field 'file'", errors=[failure])
    kept = await keep_file(request.state.user.id, file)
    return Response.json(kept, status=201, headers={"location": f"@PATH@/{kept['id']}"})
'''

ITEM = '''\
"""GET and DELETE @PATH@/[id]: one file of the user; anybody else's is 404."""

from uuid import UUID

from turnout import Request, Response

from lib.uploads import remove_file, send_file

auth = "user"  # each user sees their own


async def GET(request: Request, id: UUID) -> Response:
    """Send it, to be saved and never to be shown as a page of this site."""
    return await send_file(request.state.user.id, id)


async def DELETE(request: Request, id: UUID) -> None:
    """Delete it: 204."""
    await remove_file(request.state.user.id, id)
'''

LIB = '''\
"""Files that users keep: their bytes in data/uploads, under names of our own, and a row for each."""

from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from turnout import NotFound, Response, UnsupportedMediaType, UploadFile, ValidationFailed, db

FOLDER = Path(__file__).parents[1] / "data" / "uploads"
COLUMNS = "id, name, media_type, size, created_at"
# The first bytes of what is taken. No HTML and no SVG: those run scripts where they are opened.
KINDS = {
    b"\\x89PNG\\r\\n\\x1a\\n": ("image/png", ".png"),
    b"\\xff\\xd8\\xff": ("image/jpeg", ".jpg"),
    b"GIF87a": ("image/gif", ".gif"),
    b"GIF89a": ("image/gif", ".gif"),
    b"%PDF-": ("application/pdf", ".pdf"),
}


async def keep_file(owner_id: str, file: UploadFile) -> dict[str, Any]:
    """Keep *file*, and give its row.

    Raises:
        ValidationFailed: it is empty.
        UnsupportedMediaType: it is nothing that is taken.
    """
    head = await file.read(16)
    await file.seek(0)
    if not head:
        failure = {"pointer": "/file", "message": "is empty", "type": "file"}
        raise ValidationFailed("The file is empty", errors=[failure])
    media_type, ending = _kind_of(head)
    id = uuid4()
    FOLDER.mkdir(parents=True, exist_ok=True)
    # Never under the name that the client gave: it may say ../../x.
    place = FOLDER / id.hex
    await file.save(place)
    values = {"name": _name(file.filename, ending), "media_type": media_type, "size": file.size}
    try:
        new = db.from_("uploads").insert({"id": id, "owner_id": owner_id, **values})
        row = await new.select(COLUMNS).single()
    except BaseException:
        place.unlink(missing_ok=True)
        raise
    assert row is not None  # one was written
    return row


async def list_files(owner_id: str) -> list[dict[str, Any]]:
    """The newest hundred."""
    found = db.from_("uploads").select(COLUMNS).eq("owner_id", owner_id)
    return await found.order("created_at", desc=True).order("id").limit(100)


async def send_file(owner_id: str, id: UUID) -> Response:
    """The file as an answer.

    Raises:
        NotFound: there is none of that user's.
    """
    row = await db.from_("uploads").select(COLUMNS).eq("id", id).eq("owner_id", owner_id).single()
    if row is None:
        raise NotFound("No such file")
    return Response.file(FOLDER / id.hex, filename=row["name"], media_type=row["media_type"])


async def remove_file(owner_id: str, id: UUID) -> None:
    """Delete the row, and then the bytes: without a row nobody gets at them.

    Raises:
        NotFound: there is none of that user's.
    """
    removed = await db.from_("uploads").delete().eq("id", id).eq("owner_id", owner_id)
    if not removed.count:
        raise NotFound("No such file")
    (FOLDER / id.hex).unlink(missing_ok=True)


def _kind_of(head: bytes) -> tuple[str, str]:
    for first, kind in KINDS.items():
        if head.startswith(first):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp", ".webp"
    raise UnsupportedMediaType("Send a PNG, JPEG, GIF, WebP or PDF")


def _name(given: str | None, ending: str) -> str:
    """What the client calls it, as far as that is a plain name, with the ending of what it is."""
    words = "".join(letter for letter in given or "" if letter.isalnum() or letter in " ._-")
    stem = words.rpartition(".")[0] or words
    return (stem.strip(" .")[:80] or "file") + ending
'''

MIGRATION = """\
-- What users have uploaded; the bytes are in data/uploads, under the id. owner_id is a user's id, of auth.
create table uploads (
    id uuid primary key,
    owner_id uuid not null,
    name text not null,
    media_type text not null,
    size bigint not null,
    created_at timestamptz not null default current_timestamp
);

create index uploads_owner_id on uploads (owner_id, created_at);
"""

TEST = '''\
"""@PATH@: users keep files and read back their own; what is too large or no picture stays out."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from turnout.auth import auth_service
from turnout.db import db, migrate
from turnout.testing import Answer, Client

ROOT = Path(__file__).parent.parent
PNG = b"\\x89PNG\\r\\n\\x1a\\n" + bytes(100)


@pytest.fixture(autouse=True)
def own_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", str(tmp_path / "test.db"))


def with_client(test: Callable[[Client], Awaitable[None]]) -> Callable[[], None]:
    """Run *test* on the app, with an empty database and one user signed in."""

    async def main() -> None:
        async with Client(root=ROOT) as client:
            await migrate.migrate(db, ROOT / "migrations")
            await sign_in(client, "ada@example.com")
            try:
                await test(client)
            finally:
                for row in await db.from_("uploads").select("id"):
                    (ROOT / "data" / "uploads" / row["id"].replace("-", "")).unlink(missing_ok=True)

    return lambda: asyncio.run(main())


async def sign_in(client: Client, email: str) -> None:
    """Let *client* be a new user of that address."""
    auth = auth_service()
    await auth.admin_create_user(email=email, password="correct horse", email_confirm=True)
    session = await auth.sign_in_with_password(email, "correct horse")
    client.headers = {"authorization": f"Bearer {session.access_token}"}


async def send(client: Client, data: bytes, *, name: str = "cat.png", field: str = "file") -> Answer:
    head = f'--x\\r\\nContent-Disposition: form-data; name="{field}"; filename="{name}"\\r\\n\\r\\n'
    body = head.encode() + data + b"\\r\\n--x--\\r\\n"
    return await client.post("@PATH@", body=body, headers={"content-type": "multipart/form-data; boundary=x"})


@with_client
async def test_a_file_comes_back_as_it_was(client: Client) -> None:
    kept = await send(client, PNG)
    assert kept.status == 201
    assert (kept.json()["name"], kept.json()["media_type"], kept.json()["size"]) == ("cat.png", "image/png", len(PNG))

    read = await client.get(kept.headers["location"])

    assert (read.status, read.body, read.headers["content-type"]) == (200, PNG, "image/png")
    assert read.headers["content-disposition"].startswith("attachment")
    assert read.headers["x-content-type-options"] == "nosniff"
    assert (await client.get("@PATH@")).json() == [kept.json()]


@with_client
async def test_what_is_deleted_is_gone(client: Client) -> None:
    place = (await send(client, PNG)).headers["location"]

    assert (await client.delete(place)).status == 204
    assert (await client.get(place)).status == 404
    assert (await client.delete(place)).status == 404


@with_client
async def test_who_is_not_signed_in_keeps_nothing(client: Client) -> None:
    client.headers.clear()

    assert (await send(client, PNG)).status == 401
    assert (await client.get("@PATH@")).status == 401
    assert await db.from_("uploads").select("id") == []


@with_client
async def test_what_belongs_to_somebody_else_is_not_there(client: Client) -> None:
    place = (await send(client, PNG)).headers["location"]
    await sign_in(client, "eve@example.com")

    assert (await client.get("@PATH@")).json() == []
    assert (await client.get(place)).status == 404
    assert (await client.delete(place)).status == 404


@with_client
async def test_what_is_no_picture_is_refused_whatever_it_is_called(client: Client) -> None:
    for data in (b"<script>alert(1)</script>", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"MZ" + bytes(50)):
        assert (await send(client, data, name="cat.png")).status == 415
    assert (await send(client, b"")).status == 422
    assert (await send(client, PNG, field="other")).status == 422
    assert await db.from_("uploads").select("id") == []


@with_client
async def test_what_is_too_large_is_refused(client: Client) -> None:
    assert (await send(client, PNG + bytes(@LIMIT_BYTES@))).status == 413
    assert await db.from_("uploads").select("id") == []


@with_client
async def test_a_name_leads_nowhere(client: Client) -> None:
    for name in ("../../lib/uploads.py", "/srv/cat.gif", "..", "a.html", "x" * 500):
        kept = await send(client, PNG, name=name)
        assert kept.status == 201
        assert "/" not in kept.json()["name"] and kept.json()["name"].endswith(".png")
        assert (await client.get(kept.headers["location"])).body == PNG


@with_client
async def test_an_id_that_is_none_is_not_found(client: Client) -> None:
    for id in ("1", "x", "6f0a5c5e-8d0c-4c3e-9b55-0a4a2f1c7d11"):
        assert (await client.get(f"@PATH@/{id}")).status == 404
'''


def plan(project: ProjectView, args: Mapping[str, str]) -> ChangeSet:
    """Two routes for files, what they do, and a table."""
    given = RECIPE.complete(args)
    path, megabytes = given["path"], given["megabytes"]
    if not megabytes.isdigit() or not 1 <= int(megabytes) <= 100:
        raise ConfigError(f"{megabytes[:20]!r} is no size", cure="whole megabytes, up to 100: megabytes=10")
    route = new_route(project, path)
    new_table(project, "uploads")
    words = {"path": path, "limit": f"{int(megabytes)} MB", "limit_bytes": f"{int(megabytes)}_000_000"}
    files = {
        route: fill(ROUTE, **words),
        f"app{path}/[id]/route.py": fill(ITEM, **words),
        "lib/uploads.py": LIB,
        f"{next_migration(project, 'uploads')}.sql": MIGRATION,
        f"tests/test_{slug(path)}.py": fill(TEST, **words),
    }
    return ChangeSet(
        summary=f"{path} keeps pictures and PDFs of signed-in users, up to {words['limit']} each, in data/uploads; "
        "each user reads and deletes their own.",
        contract=[
            RouteClaim("GET", path, "user", [200, 401, 429]),
            RouteClaim("POST", path, "user", [201, 400, 401, 413, 415, 422, 429]),
            RouteClaim("GET", f"{path}/[id]", "user", [200, 401, 404]),
            RouteClaim("DELETE", f"{path}/[id]", "user", [204, 401, 404]),
        ],
        files=new_files(project, files),
        needs=["turnout[auth,forms]"],
    )


_SIZE = re.compile(r"\b(\d{1,3}) ?(?:mb|megabytes?)\b")


def read(ask: str) -> dict[str, str]:
    """The path and the greatest size, where a sentence names them."""
    size = _SIZE.search(ask.lower())
    return path_in(ask) | ({"megabytes": size[1]} if size else {})


RECIPE = Recipe(
    name="upload",
    summary="signed-in users keep pictures and PDFs, and read back their own",
    plan=plan,
    arguments=(
        Argument("path", "where the routes are", "/api/files"),
        Argument("megabytes", "the greatest size of a file", "10"),
    ),
    signs=(
        (r"\bupload\w*\b", 4),
        (r"\b(?:files?|images?|pictures?|photos?|avatars?|attachments?|documents?|pdfs?)\b", 1),
        (r"\b(?:save|keep|store|accept|receive)\b[^.]*\b(?:files?|images?|pictures?|photos?|avatars?|pdfs?)\b", 3),
        (r"\bmultipart\b", 3),
        (r"\b(?:csv|excel|spreadsheets?|import|video|parse)\b", -3),
        (r"\b(?:webhook|stripe|sign ?up|cron|crud|contact|every)\b", -3),
    ),
    read=read,
)
