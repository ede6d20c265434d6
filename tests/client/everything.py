"""An app with every kind of parameter, body, answer, stream and failure that a client has to know."""

from __future__ import annotations

FILES = {
    "app/api/things/[id]/route.py": '''
        """One thing. */ A comment of JavaScript ends so; one of Python with \\"\\"\\" so."""

        from typing import Annotated, Literal

        from msgspec import Meta, Struct

        from turnout import Conflict, NotFound, Response


        class Size(Struct):
            width: int
            height: int


        class Thing(Struct):
            id: int
            name: str
            kind: Literal["small", "large"]
            parent: "Thing | None" = None
            sizes: dict[str, Size] = {}
            at: tuple[float, float] | None = None


        class Change(Struct, forbid_unknown_fields=True):
            name: Annotated[str, Meta(min_length=1)]
            kind: Literal["small", "large"] = "small"


        class NoThing(NotFound):
            code = "no_thing"


        class NameTaken(Conflict):
            code = "name_taken"


        async def GET(request, id: int) -> Thing:
            """Read one thing.

            @ts-expect-error is no instruction here, nor is */ the end.
            """
            if id == 404:
                raise NoThing("There is no such thing")
            return Thing(id, "Ada \\u2028 ü", "small", Thing(0, "root", "large"), {"s": Size(1, 2)}, (1.5, 2))


        async def PUT(request, id: int, body: Change) -> Thing:
            if body.name == "taken":
                raise NameTaken("Another thing is called so")
            if id == 404:
                raise NoThing("There is no such thing")
            return Thing(id, body.name, body.kind)


        async def DELETE(request, id: int) -> None:
            if id == 500:
                raise RuntimeError("secret")
    ''',
    "app/api/search/route.py": """
        from typing import Literal

        from msgspec import Struct


        class Search(Struct):
            q: str
            page: int = 1
            tag: list[str] = []
            exact: bool = False
            order: Literal["up", "down"] | None = None


        async def GET(request, query: Search) -> Search:
            return query
    """,
    "app/api/files/[...path]/route.py": """
        async def GET(request, path: list[str]) -> list[str]:
            return path
    """,
    "app/api/maybe/[[...path]]/route.py": """
        async def GET(request, path: list[str]) -> list[str]:
            return path
    """,
    "app/api/caf\\u00e9%25/[name]/route.py": """
        async def GET(request, name: str) -> str:
            return name
    """,
    "app/api/upload/route.py": """
        from turnout import FormData, Request


        async def POST(request: Request, body: FormData) -> dict[str, object]:
            files = [
                [part.filename, part.content_type, len(await part.read())]
                for part in body.get_all("file")
                if not isinstance(part, str)
            ]
            kind = request.headers.get("content-type", "").partition(";")[0]
            return {"title": body.get("title"), "tags": body.get_all("tag"), "files": files, "kind": kind}
    """,
    "app/api/bytes/route.py": """
        from turnout import Request


        async def POST(request: Request, body: bytes) -> bytes:
            return body[::-1]


        async def PUT(request: Request, body: str) -> str:
            return body.upper()


        async def PATCH(request: Request) -> dict[str, int]:
            count = size = 0
            async for chunk in request.stream():
                count, size = count + 1, size + len(chunk)
            return {"size": size}
    """,
    "app/api/events/route.py": """
        import asyncio

        from turnout import Response

        GONE = []


        async def GET(request) -> Response:
            async def events():
                try:
                    after = int(request.headers.get("last-event-id", "0"))
                    for number in range(after + 1, 1000):
                        yield {"data": f"one\\ntwo {number} \\u00fc", "event": "tick", "id": str(number)}
                        await asyncio.sleep(0.001)
                finally:
                    GONE.append(1)

            return Response.sse(events())


        async def DELETE(request) -> int:
            return len(GONE)
    """,
    "app/api/words/route.py": """
        import asyncio
        from collections.abc import AsyncIterator

        from turnout import Response


        async def GET(request) -> AsyncIterator[str]:
            for word in ("Gr", "\\u00fc", "\\u00dfe"):
                yield word
                await asyncio.sleep(0)


        async def POST(request) -> Response:
            async def pieces():
                for number in range(100):
                    yield bytes([number]) * 1000

            return Response.stream(pieces(), headers={"content-type": "application/octet-stream"})
    """,
    "app/api/who/route.py": """
        from turnout import Response, Unauthorized


        async def GET(request) -> dict[str, str | None]:
            token = request.headers.get("authorization")
            if token == "Bearer wrong":
                raise Unauthorized("Nobody is signed in", code="who_are_you")
            return {"token": token, "trace": request.headers.get("x-trace"), "cookie": request.cookies.get("a")}


        async def POST(request) -> Response:
            response = Response.json({"signed": True}, status=201)
            response.set_cookie("a", "1")
            return response
    """,
    "app/api/page/route.py": """
        from turnout import Response


        async def GET(request) -> Response:
            return Response.html("<p>Hi</p>")


        async def POST(request) -> Response:
            return Response.redirect("/api/page", 303)
    """,
    "app/api/wrong/route.py": """
        from turnout import Response


        async def GET(request) -> dict[str, int]:
            return _page()


        def _page():
            return Response.html("<p>No JSON</p>")
    """,
    "app/api/slow/route.py": """
        import asyncio


        async def GET(request) -> int:
            await asyncio.sleep(30)
            return 1
    """,
    "app/route.py": """
        from turnout import Response


        async def GET(request) -> Response:
            return Response.html("<!doctype html><title>Test</title>")
    """,
    "app/client/[name]/route.py": '''
        """The compiled client, for the page that imports it."""

        from pathlib import Path

        from turnout import Response


        async def GET(request, name: str) -> Response:
            text = (Path(__file__).parents[3] / "built" / name).read_text()
            return Response(text, headers={"content-type": "text/javascript"})
    ''',
}
FILES = {name.encode().decode("unicode_escape"): text for name, text in FILES.items()}
