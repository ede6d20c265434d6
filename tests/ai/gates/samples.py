"""A small project, a good change to it, and a change full of holes, each of which one probe has to find."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from projects import make_project

from turnout.ai.changeset import ChangeSet, FileChange, RouteClaim

SETTINGS = '[tool.turnout]\nallowed_hosts = ["localhost", "127.0.0.1"]\n'

PROJECT = {
    "pyproject.toml": SETTINGS,
    "app/api/hello/route.py": """
        async def GET(request):
            return {"message": "Hello World!"}
    """,
    "lib/posts.py": """
        from msgspec import Struct


        class NewPost(Struct):
            title: str
    """,
    "lib/old.py": "def size(text: str) -> str:\n    return len(text)\n",
    "app/api/posts/route.py": """
        from lib.posts import NewPost
        from turnout import db

        auth = "public"


        async def GET(request):
            return await db.from_("posts").select("*").limit(50)


        async def POST(request, body: NewPost):
            return await db.from_("posts").insert({"title": body.title}).select().single()
    """,
    "migrations/20260101000000_posts.sql": """
        create table posts (id integer primary key autoincrement, title text not null, created_at timestamptz);
        create table notes (id integer primary key autoincrement, user_id text not null, title text not null);
    """,
    "tests/test_hello.py": """
        import asyncio

        from turnout.testing import Client


        def test_hello():
            async def main():
                async with Client(root=".") as client:
                    assert (await client.get("/api/hello")).json() == {"message": "Hello World!"}

            asyncio.run(main())
    """,
    ".env.example": "WEATHER_URL=\nAPP_SECRET=\nSTRIPE_WEBHOOK_SECRET=\n",
    ".env.local": "APP_SECRET=the-real-one-of-this-machine\n",
}

GOOD = {
    "app/api/notes/route.py": '''
        """Notes of the user who is signed in."""

        from lib.notes import NewNote
        from turnout import Response, db
        from turnout.auth import require_user

        auth = "user"


        async def GET(request):
            user = await require_user()
            return await db.from_("notes").select("*").eq("user_id", user.id).limit(50)


        async def POST(request, body: NewNote):
            user = await require_user()
            async with db.transaction() as tx:
                note = await tx.from_("notes").insert({"title": body.title, "user_id": user.id}).select().single()
                await tx.from_("changes").insert({"what": "a note was added"})
            return Response.json(note, status=201)
    ''',
    "app/api/notes/[id]/route.py": '''
        """One of them."""

        from turnout import NotFound, db
        from turnout.auth import require_user

        auth = "user"


        async def GET(request, id: int):
            user = await require_user()
            note = await db.from_("notes").select("*").eq("id", id).eq("user_id", user.id).single()
            if note is None:
                raise NotFound("No such note")
            return note


        async def DELETE(request, id: int):
            user = await require_user()
            if not await db.from_("notes").delete().eq("id", id).eq("user_id", user.id).select():
                raise NotFound("No such note")
    ''',
    "app/api/webhooks/stripe/route.py": """
        from turnout.webhooks import stripe

        hook = stripe.webhook(secrets="STRIPE_WEBHOOK_SECRET")


        @hook.on("checkout.session.completed")
        async def paid(event, tx):
            await tx.from_("changes").insert({"what": "paid"})


        POST = hook
    """,
    "lib/notes.py": """
        from typing import Annotated

        from msgspec import Meta, Struct


        class NewNote(Struct):
            title: Annotated[str, Meta(min_length=1, max_length=200)]
    """,
    "migrations/20260102000000_changes.sql": """
        create table changes (id integer primary key autoincrement, what text not null);
    """,
    "tests/test_notes.py": """
        import asyncio

        from turnout.testing import Client


        def test_notes_ask_for_a_sign_in():
            async def main():
                async with Client(root=".") as client:
                    assert (await client.get("/api/notes")).status == 401

            asyncio.run(main())


        def test_an_unknown_path_is_not_found():
            async def main():
                async with Client(root=".") as client:
                    assert (await client.get("/api/noted")).status == 404

            asyncio.run(main())
    """,
}
GOOD_CLAIMS = [
    RouteClaim("GET", "/api/notes", "user", [200, 401]),
    RouteClaim("POST", "/api/notes", "user", [201, 401, 422]),
    RouteClaim("GET", "/api/notes/[id]", "user", [200, 401, 404]),
    RouteClaim("DELETE", "/api/notes/[id]", "user", [204, 401, 404]),
    RouteClaim("POST", "/api/webhooks/stripe", "signature", [200, 400]),
]

# Each folder below app/api/bad/ has one hole, and its name is the code that has to name it.
HOLES = {
    "TRN205/route.py": """
        async def GET(request):
            return {}
    """,
    "TRN232/route.py": """
        from turnout import BadRequest


        async def POST(request):
            try:
                body = await request.json()
            except BadRequest:
                body = {}
            return {"got": str(body)[:5]}
    """,
    "TRN233/error.py": """
        from turnout import Response, ValidationFailed


        async def error(exc, request):
            return Response.json({"bad": True}, status=400) if isinstance(exc, ValidationFailed) else None
    """,
    "TRN233/route.py": """
        from lib.posts import NewPost


        async def POST(request, body: NewPost):
            return body
    """,
    "TRN234/route.py": """
        from turnout import db


        async def POST(request):
            row = dict(await request.json())
            return await db.from_("posts").insert(row).select().single()
    """,
    "TRN235/error.py": """
        from turnout import Response, Unauthorized


        async def error(exc, request):
            return Response.json([]) if isinstance(exc, Unauthorized) else None
    """,
    "TRN235/route.py": """
        auth = "user"


        async def GET(request):
            return []
    """,
    "TRN236/error.py": """
        async def error(exc, request):
            await request.text()
            return None
    """,
    "TRN236/route.py": """
        auth = "user"


        async def POST(request, body: bytes):
            return []
    """,
    "TRN237/[id]/route.py": """
        from turnout import NotFound, db

        auth = "user"


        async def GET(request, id: int):
            note = await db.from_("notes").select("*").eq("id", id).single()
            if note is None:
                raise NotFound("No such note")
            return note


        async def DELETE(request, id: int):
            await db.from_("notes").delete().eq("id", id)
    """,
    "TRN238/[id]/route.py": """
        from lib.posts import NewPost
        from turnout import db


        async def PUT(request, id: int, body: NewPost):
            await db.from_("notes").update({"title": body.title}).eq("id", id)
    """,
    "TRN239/webhook/route.py": """
        async def POST(request):
            return {"received": len(await request.text())}
    """,
    "TRN240/webhook/route.py": """
        from turnout import db, env
        from turnout.webhooks import stripe


        async def POST(request):
            signature = request.headers.get("stripe-signature")
            event = stripe.construct_event(await request.bytes(), signature, env["STRIPE_WEBHOOK_SECRET"])
            await db.from_("posts").insert({"title": event.type})
            return {"received": True}
    """,
    "TRN241/[name]/route.py": """
        from turnout import NotFound, db


        async def GET(request, name: str):
            rows = await db.sql(f"select * from posts where title = '{name}'")
            if not rows:
                raise NotFound("No such post")
            return rows
    """,
    "TRN242/route.py": """
        body_limit = "900 MB"


        async def POST(request, body: bytes):
            return len(body)
    """,
    "TRN243/route.py": """
        from msgspec import Struct


        class Order(Struct):
            quantity: int


        async def POST(request, body: Order):
            return {"each": 100 / body.quantity}
    """,
    "TRN244/route.py": """
        from turnout import env


        async def GET(request):
            return {"key": env["APP_SECRET"]}
    """,
    "TRN245/route.py": """
        from lib.posts import NewPost
        from turnout import db


        async def POST(request, body: NewPost):
            await db.from_("posts").insert({"title": body.title})
            await db.from_("posts").insert({"title": body.title + " again"})
            return {}
    """,
    "TRN246/route.py": """
        import asyncio


        async def GET(request):
            await asyncio.sleep(20)
            return {}
    """,
}
STATUSES = {"TRN205": [201]}


def files(texts: dict[str, str]) -> list[FileChange]:
    """New files with these texts."""
    return [FileChange(path, None, dedent(text).lstrip("\n")) for path, text in texts.items()]


def project(root: Path) -> Path:
    """The project in the folder *root*."""
    return make_project(root, {path: dedent(text).lstrip("\n") for path, text in PROJECT.items()})


def good(*, without: str = "", claims: list[RouteClaim] | None = None, **extra: str) -> ChangeSet:
    """The good change, but for one file, or with other claims or files."""
    texts = {path: text for path, text in {**GOOD, **extra}.items() if path != without}
    return ChangeSet("Notes", GOOD_CLAIMS if claims is None else claims, files(texts))


def holes() -> ChangeSet:
    """A change with every hole."""
    texts = {f"app/api/bad/{path}": text for path, text in HOLES.items()}
    return ChangeSet("Holes", [RouteClaim("GET", "/api/bad/TRN205", None, STATUSES["TRN205"])], files(texts))
