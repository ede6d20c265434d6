"""Smaller answers: the right coding, the same content, at once where it is a stream, and nothing that must not be."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from projects import SETTINGS, client_of

from turnout.http.compress import coding_of
from turnout.testing import Answer

DECODE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}
PAGE = "<p>The quick brown fox</p>" * 200
FILES = {
    "public/style.css": "body { color: green }\n" * 200,
    "public/photo.png": "x" * 5000,
    "app/page/route.py": f"""
        from turnout import Response
        async def GET(request): return Response.html({PAGE!r}, headers={{"etag": '"1"'}})
    """,
    "app/large/route.py": "async def GET(request): return ['row'] * 50_000",
    "app/small/route.py": "async def GET(request): return 'x' * 900",
    "app/binary/route.py": "async def GET(request): return b'x' * 5000",
    "app/kept/route.py": """
        from turnout import Response
        async def GET(request): return Response.text("x" * 5000, headers={"cache-control": "no-transform"})
    """,
    "app/done/route.py": """
        from turnout import Response
        async def GET(request): return Response.text("x" * 5000, headers={"content-encoding": "x-own"})
    """,
    "app/stream/route.py": """
        from turnout import Response
        async def GET(request):
            async def rows():
                for n in range(3):
                    yield f"row {n}\\n"
            return Response.stream(rows())
    """,
    "app/events/route.py": """
        from turnout import Response
        async def GET(request):
            async def events():
                yield "x" * 5000
            return Response.sse(events())
    """,
}


def decoded(answer: Answer) -> bytes:
    coding = answer.headers.get("content-encoding")
    return DECODE[coding](answer.body) if coding else answer.body


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
@pytest.mark.parametrize("path", ["/page", "/large", "/stream", "/style.css"])
async def test_an_answer_is_smaller_and_says_the_same(tmp_path: Path, coding: str, path: str) -> None:
    async with client_of(tmp_path, FILES) as client:
        plain = await client.get(path)
        answer = await client.get(path, headers={"accept-encoding": coding})
        assert answer.headers.get("content-encoding") == coding
        assert plain.headers.get("content-encoding") is None
        assert decoded(answer) == plain.body
        assert len(answer.body) < len(plain.body) / 5 or path == "/stream"
        assert plain.headers.get("vary") == answer.headers.get("vary") == "Accept-Encoding"


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "br"),
        ("gzip;q=1.0, br;q=0.5", "gzip"),
        ("GZIP", "gzip"),
        ("*", "zstd"),
        ("*;q=0, gzip", "gzip"),
        ("zstd;q=0, br;q=0, *;q=0.1", "gzip"),
        ("identity", None),
        ("", None),
        ("gzip;q=0", None),
        ("gzip;q=x", None),
        ("deflate", None),
        (None, None),
    ],
)
def test_the_coding_is_the_one_that_the_client_likes_best(accept: str | None, coding: str | None) -> None:
    fields = [] if accept is None else [(b"accept-encoding", accept.encode())]
    assert coding_of([(b"host", b"x"), *fields]) == coding
    assert coding_of([*fields, (b"sec-fetch-site", b"cross-site")]) is None


def test_two_fields_are_one_list() -> None:
    assert coding_of([(b"accept-encoding", b"zstd;q=0, *;q=0"), (b"accept-encoding", b"gzip")]) == "gzip"


@given(st.text(alphabet="gzipbr std*;q=0.1,-\t", max_size=80))
@settings(deadline=None)
def test_any_accept_encoding_is_read(accept: str) -> None:
    assert coding_of([(b"accept-encoding", accept.encode())]) in (None, "zstd", "br", "gzip")


@pytest.mark.parametrize("path", ["/small", "/binary", "/kept", "/done", "/events", "/photo.png", "/nowhere"])
async def test_what_is_small_or_dense_or_not_to_be_touched_stays(tmp_path: Path, path: str) -> None:
    async with client_of(tmp_path, FILES) as client:
        plain, answer = await client.get(path), await client.get(path, headers={"accept-encoding": "gzip"})
        if path != "/nowhere":
            assert answer.body == plain.body
        assert answer.headers.get("content-encoding") == plain.headers.get("content-encoding")


async def test_pieces_of_a_stream_can_be_read_as_they_come(tmp_path: Path) -> None:
    from turnout.http.compress import compress
    from turnout.http.request import Request
    from turnout.http.response import Response

    async def rows() -> object:
        yield "first\n"
        yield "second\n"

    for coding in ("gzip", "br", "zstd"):
        response = Response.stream(rows())
        await compress(Request("GET", "/", headers={"accept-encoding": coding}), response)
        assert response.chunks is not None
        first = await anext(response.chunks)
        if coding == "gzip":
            import zlib

            assert zlib.decompressobj(31).decompress(first) == b"first\n"
        elif coding == "br":
            assert brotli.Decompressor().process(first) == b"first\n"
        else:
            assert zstandard.ZstdDecompressor().decompressobj().decompress(first) == b"first\n"
        await response.chunks.aclose()  # type: ignore[attr-defined]


async def test_a_validator_is_weak_beside_other_bytes_and_still_answers_304(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES) as client:
        page = await client.get("/page", headers={"accept-encoding": "gzip"})
        assert page.headers.get("etag") == 'W/"1"'
        style = await client.get("/style.css", headers={"accept-encoding": "gzip"})
        etag = style.headers.get("etag") or ""
        assert etag.startswith("W/") and style.headers.get("accept-ranges") is None
        again = {"accept-encoding": "gzip", "if-none-match": etag}
        assert (await client.get("/style.css", headers=again)).status == 304
        part = await client.get("/style.css", headers={"accept-encoding": "gzip", "range": "bytes=0-3"})
        assert (part.status, part.body, part.headers.get("content-encoding")) == (206, b"body", None)


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("accept", ["identity", "gzip"])
@pytest.mark.parametrize("path", ["/style.css", "/again", "/photo.png", "/few"])
async def test_304_has_the_fields_that_the_200_would_have(
    tmp_path: Path, path: str, accept: str, compress: bool
) -> None:
    # RFC 9110 section 15.4.5: a cache between us and the client updates what it holds by them.
    kept = "from turnout import Response\nrevalidate = 60\nasync def GET(request): return Response.html('<p>' * {})"
    files = {**FILES, "app/again/route.py": kept.format(1_000), "app/few/route.py": kept.format(10)}
    files["pyproject.toml"] = f"{SETTINGS}compress = {str(compress).lower()}\n"
    async with client_of(tmp_path, files) as client:
        for method in ("GET", "HEAD"):
            await client.get(path)  # which keeps it
            fields = {"accept-encoding": accept}
            full = await client.request(method, path, headers=fields)
            etag = full.headers.get("etag") or ""
            known = await client.request(method, path, headers={**fields, "if-none-match": etag})
            assert (full.status, known.status, known.body) == (200, 304, b"")
            for name in ("vary", "etag", "cache-control", "accept-ranges"):
                assert known.headers.get(name) == full.headers.get(name), name
            assert not {"content-type", "content-encoding", "content-length"} & set(known.headers.keys())
            small = path in ("/photo.png", "/few")
            assert full.headers.get("vary") == (None if small or not compress else "Accept-Encoding")


async def test_a_page_of_another_site_learns_nothing_from_a_size(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES) as client:
        fields = {"accept-encoding": "gzip", "sec-fetch-site": "cross-site"}
        assert (await client.get("/page", headers=fields)).headers.get("content-encoding") is None


async def test_a_head_request_has_the_fields_of_the_get(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES) as client:
        fields = {"accept-encoding": "gzip"}
        answers = [await client.request(method, "/page", headers=fields) for method in ("GET", "HEAD")]
        kept = [{n: v for n, v in answer.headers if n not in ("date",)} for answer in answers]
        assert kept[0] == kept[1]


async def test_it_can_be_left_to_a_proxy(tmp_path: Path) -> None:
    made = {**FILES, "pyproject.toml": f"{SETTINGS}compress = false\n"}
    async with client_of(tmp_path, made) as client:
        answer = await client.get("/page", headers={"accept-encoding": "gzip"})
        assert answer.text == PAGE and answer.headers.get("vary") is None


def test_clients_that_ask_in_ever_new_words_fill_no_memory() -> None:
    def asked_in_new_ways(first: int) -> int:
        for number in range(first, first + 3_000):
            assert coding_of([(b"accept-encoding", b"gzip, x-%d" % number)]) == "gzip"
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = asked_in_new_ways(0)
        assert asked_in_new_ways(3_000) - before < 50_000
    finally:
        tracemalloc.stop()
