"""Every kind of call by the generated Python client, beside which it is copied: python calling.py URL."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import AsyncIterator

import api_client
import httpx
from api_client import Api, ApiError, ServerEvent, Stream, Thing


async def failed(call: object) -> ApiError:
    try:
        await call  # type: ignore[misc]
    except ApiError as error:
        return error
    raise AssertionError("nothing was raised")


async def values(api: Api) -> None:
    thing: Thing = await api("GET /api/things/[id]", params={"id": 7})
    assert thing["name"] == "Ada \u2028 ü" and thing["sizes"]["s"]["height"] == 2 and thing["at"] == [1.5, 2]
    assert thing["parent"] is not None and thing["parent"]["kind"] == "large"
    changed = await api("PUT /api/things/[id]", params={"id": 7}, body={"name": "Grace", "kind": "large"})
    assert (changed["name"], changed["kind"]) == ("Grace", "large")
    response = await api.response("DELETE /api/things/[id]", params={"id": 7})
    assert (response.status_code, response.content) == (204, b"")

    search = await api("GET /api/search", query={"q": "a&b=ü +%", "page": 3, "tag": ["x", "y,z"], "exact": True})
    assert search == {"q": "a&b=ü +%", "page": 3, "tag": ["x", "y,z"], "exact": True, "order": None}
    path = ["a/b", "c d", "%2F", "é"]
    assert await api("GET /api/files/[...path]", params={"path": path}) == path
    assert await api("GET /api/maybe/[[...path]]") == []
    assert await api("GET /api/maybe/[[...path]]", params={"path": ["a"]}) == ["a"]
    assert await api("GET /api/café%25/[name]", params={"name": "[x] ?#&"}) == "[x] ?#&"
    for bad in (["..", "things"], [""], ["."], list[str]()):
        try:
            await api("GET /api/files/[...path]", params={"path": bad})
        except ValueError:
            continue
        raise AssertionError(bad)


async def bodies(api: Api) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"a" * 100_000

    assert await api("POST /api/bytes", body=b"\1\2\3") == b"\3\2\1"
    assert await api("PUT /api/bytes", body="größe") == "GRÖSSE"
    assert await api("PATCH /api/bytes", body=chunks()) == {"size": 300_000}
    files = [("a.txt", b"hello", "text/plain"), ("b.bin", io.BytesIO(b"xy"))]
    assert await api("POST /api/upload", body={"title": "T", "tag": ["a", "b"], "file": files, "none": None}) == {
        "title": "T",
        "tags": ["a", "b"],
        "files": [["a.txt", "text/plain", 5], ["b.bin", "application/octet-stream", 2]],
        "kind": "multipart/form-data",
    }
    form = await api("POST /api/upload", body={"title": "T", "tag": "a"})
    assert form["kind"] == "application/x-www-form-urlencoded" and form["title"] == "T" and form["tags"] == ["a"]


async def streams(api: Api) -> None:
    events: list[ServerEvent[str]] = []
    stream: Stream[ServerEvent[str]] = await api("GET /api/events", headers={"last-event-id": "40"})
    async with stream:
        async for event in stream:
            events.append(event)
            if len(events) == 3:
                break
    assert events == [ServerEvent("tick", f"one\ntwo {n} ü", str(n)) for n in (41, 42, 43)]
    for _ in range(100):
        if await api("DELETE /api/events"):
            break
        await asyncio.sleep(0.02)
    else:
        raise AssertionError("a stream that is left is closed")
    assert "".join([word async for word in await api("GET /api/words")]) == "Grüße"
    assert len(b"".join([chunk async for chunk in await api("POST /api/words")])) == 100_000


async def answers(api: Api, url: str) -> None:
    assert await api("GET /api/page") == "<p>Hi</p>"
    assert await api("POST /api/page") == "<p>Hi</p>"
    response = await api.response("POST /api/who")
    assert (response.status_code, response.json()) == (201, {"signed": True})
    assert (await api("GET /api/who"))["cookie"] == "1"

    async def token() -> str:
        return "secret"

    async with Api(url, token=token, headers={"x-trace": "1"}) as signed:
        assert await signed("GET /api/who") == {"token": "Bearer secret", "trace": "1", "cookie": None}
        assert (await signed("GET /api/who", headers={"x-trace": "2"}))["trace"] == "2"
    async with httpx.AsyncClient() as client:
        assert (await Api(url, client=client)("GET /api/who"))["token"] is None


async def failures(api: Api, url: str) -> None:
    missing = await failed(api("GET /api/things/[id]", params={"id": 404}))
    assert (missing.status, missing.code) == (404, "no_thing")
    assert str(missing) == "GET /api/things/[id]: 404 There is no such thing"
    taken = await failed(api("PUT /api/things/[id]", params={"id": 1}, body={"name": "taken"}))
    assert taken.code == "name_taken"
    unfit = await failed(api("PUT /api/things/[id]", params={"id": 1}, body={"name": ""}))
    assert (unfit.status, unfit.body["errors"][0]["pointer"]) == (422, "/name")
    broken = await failed(api("DELETE /api/things/[id]", params={"id": 500}))
    assert (broken.status, broken.code) == (500, None)
    async with Api(url, token="wrong") as unknown:
        wrong = await failed(unknown("GET /api/who"))
    assert wrong.code == "who_are_you"

    def lie(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, html="<p>A proxy</p>")

    async with httpx.AsyncClient(transport=httpx.MockTransport(lie)) as client:
        proxied = await failed(Api(url, client=client)("GET /api/who"))
        assert str(proxied) == "GET /api/who: answered with text/html, not application/json"


async def cut() -> None:
    """The pieces of a stream come cut anywhere, also within a letter and a line end."""
    whole = "\ufeffid: 1\r\ndata: é\r\ndata\r\n: quiet\r\n\r\nevent: x\rdata:b\r\rdata: lost".encode()
    for at in range(len(whole) + 1):

        async def pieces(at: int = at) -> AsyncIterator[bytes]:
            yield whole[:at]
            yield whole[at:]

        def answer(request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=pieces())

        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            events = [event async for event in await Api("http://x", client=client)("GET /api/events")]
        assert events == [ServerEvent("message", "é\n", "1"), ServerEvent("x", "b", "1")], at


async def main(url: str) -> None:
    async with Api(f"{url}/") as api:
        await values(api)
        await bodies(api)
        await streams(api)
        await answers(api, url)
        await failures(api, url)
    await cut()
    assert api_client.ApiError is ApiError


asyncio.run(main(sys.argv[1]))
print("done")
