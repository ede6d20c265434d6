"""The native server: what it refuses, what it lets through, how its answers are framed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import Any

import pytest

from turnout.context import after
from turnout.http.guard import CSP_DATA, DEFAULTS
from turnout.http.response import Response

from .wire import HOST, Client, describe, echo, get, hello, post, serve, until

pytestmark = pytest.mark.usefixtures("loop_factory")

GET = b"GET / HTTP/1.1\r\n"
POST = b"POST / HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"


async def refusal(client: Client, data: bytes) -> tuple[int, dict[str, Any]]:
    """The status and the problem that *data* gets; checks what every refusal carries."""
    answer = await client.asks(data)
    assert answer.closes
    assert answer["content-type"] == "application/problem+json"
    for name, value in (*DEFAULTS, ("content-security-policy", CSP_DATA)):
        assert answer[name] == value
    assert answer["server"] is None
    problem = json.loads(answer.body)
    assert problem["status"] == answer.status
    assert await client.is_closed()
    return answer.status, problem


# --- what the parser refuses by itself

MALFORMED = {
    "bare LF after the request line": b"GET / HTTP/1.1\n" + HOST + b"\r\n",
    "bare LF after a field": GET + b"Host: localhost\n\r\n",
    "bare LF at the end of the head": GET + HOST + b"\n",
    "bare CR in a value": GET + HOST + b"A: b\rc\r\n\r\n",
    "folded line": GET + HOST + b"A: b\r\n c\r\n\r\n",
    "folded line with a tab": GET + HOST + b"A: b\r\n\tc\r\n\r\n",
    "space before the colon": GET + HOST + b"A : b\r\n\r\n",
    "space before the first field": GET + b" Host: localhost\r\n\r\n",
    "no field name": GET + HOST + b": b\r\n\r\n",
    "no colon": GET + HOST + b"A\r\n\r\n",
    "control byte in a name": GET + HOST + b"A\x01: b\r\n\r\n",
    "NUL in a value": GET + HOST + b"A: b\x00c\r\n\r\n",
    "control byte in a value": GET + HOST + b"A: b\x01c\r\n\r\n",
    "DEL in a value": GET + HOST + b"A: b\x7fc\r\n\r\n",
    "length and coding": CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n",
    "coding and length": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "length twice, the same": POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nab",
    "length twice, different": POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nab",
    "length with a plus": POST + b"Content-Length: +2\r\n\r\nab",
    "length with a minus": POST + b"Content-Length: -2\r\n\r\nab",
    "length list": POST + b"Content-Length: 2, 2\r\n\r\nab",
    "length with an underscore": POST + b"Content-Length: 1_0\r\n\r\n0123456789",
    "length in hex": POST + b"Content-Length: 0x2\r\n\r\nab",
    "length empty": POST + b"Content-Length: \r\n\r\n",
    "length overflow": POST + b"Content-Length: 18446744073709551616\r\n\r\n",
    "chunk size with a space": CHUNKED + b"\r\n2 \r\nab\r\n0\r\n\r\n",
    "chunk size with 0x": CHUNKED + b"\r\n0x2\r\nab\r\n0\r\n\r\n",
    "chunk size not hex": CHUNKED + b"\r\nZZ\r\nab\r\n0\r\n\r\n",
    "chunk size negative": CHUNKED + b"\r\n-2\r\nab\r\n0\r\n\r\n",
    "chunk size overflow": CHUNKED + b"\r\n11111111111111111\r\nab\r\n0\r\n\r\n",
    "chunk size empty": CHUNKED + b"\r\n\r\nab\r\n0\r\n\r\n",
    "chunk size ended by LF": CHUNKED + b"\r\n2\nab\r\n0\r\n\r\n",
    "chunk longer than said": CHUNKED + b"\r\n2\r\nabc\r\n0\r\n\r\n",
    "chunk ended by LF": CHUNKED + b"\r\n2\r\nab\n0\r\n\r\n",
    "chunked twice in one field": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": CHUNKED + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked not last": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\n" + HOST + b"\r\n",
    "HTTP/9.9": b"GET / HTTP/9.9\r\n" + HOST + b"\r\n",
    "HTTP/1.10": b"GET / HTTP/1.10\r\n" + HOST + b"\r\n",
    "http/1.1": b"GET / http/1.1\r\n" + HOST + b"\r\n",
    "no target": b"GET HTTP/1.1\r\n" + HOST + b"\r\n",
    "authority-form": b"GET localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n",
    "control byte in the target": b"GET /\x01 HTTP/1.1\r\n" + HOST + b"\r\n",
    "NUL in the target": b"GET /\x00 HTTP/1.1\r\n" + HOST + b"\r\n",
    "tab in the target": b"GET /\t HTTP/1.1\r\n" + HOST + b"\r\n",
    "non-ASCII byte in the target": b"GET /\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n",
    "space in the target": b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n",
    "not a method": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),  # a TLS hello
    "another protocol": b"GET / ICE/1.0\r\n" + HOST + b"\r\n",
    "method with a slash": b"GE/T / HTTP/1.1\r\n" + HOST + b"\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "nonsense": b"\r\n\r\nhello\r\n\r\n",
    "a response": b"HTTP/1.1 200 OK\r\n\r\n",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
async def test_what_is_malformed_is_refused_with_400(data: bytes) -> None:
    async with serve({"/": echo}) as door:
        status, problem = await refusal(await door.connect(), data)

        assert status == 400, problem
        assert door.serving.refused == 1


async def test_a_malformed_request_is_told_so_in_words_and_code() -> None:
    async with serve({"/": hello}) as door:
        status, problem = await refusal(await door.connect(), GET + b"A : b\r\n\r\n")

        assert (status, problem["title"], problem["code"]) == (400, "Bad Request", "malformed_request")


# --- what the parser lets through


@pytest.mark.parametrize(
    "fields",
    [
        b"",
        HOST + HOST,
        HOST + b"Host: other\r\n",
        b"Host: a b@/\r\n",
        b"Host:\r\n",
        b"Host: \r\n",
        b"Host: a@localhost\r\n",
        b"Host: localhost/x\r\n",
        b"Host: localhost:\r\n",
        b"Host: localhost:1:2\r\n",
        b"Host: localhost:80a\r\n",
        b"Host: [::1\r\n",
        b"Host: loc\xc3\xa9\r\n",
        b"Host: localhost,localhost\r\n",
        b"Host: http://localhost\r\n",
        b"Host: example.com\r\n",  # well formed, and not on the list
    ],
)
async def test_http_1_1_needs_exactly_one_valid_host_that_is_on_the_list(fields: bytes) -> None:
    async with serve({"/": hello}) as door:
        answer = await door.asks(GET + fields + b"\r\n")

        assert (answer.status, json.loads(answer.body)["code"]) == (400, "invalid_host")


@pytest.mark.parametrize("value", [b"localhost", b"LOCALHOST", b"localhost:8000", b"localhost.", b"  localhost  "])
async def test_other_spellings_of_an_allowed_host_are_taken(value: bytes) -> None:
    async with serve({"/": hello}) as door:
        assert (await door.asks(GET + b"Host: " + value + b"\r\n\r\n")).status == 200


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://localhost/a?b=c", 200),
        ("HTTP://LOCALHOST/a?b=c", 200),
        ("http://localhost?b=c", 200),
        ("http://localhost", 200),
        ("https://localhost/a", 200),
        ("http://example.com/", 400),
        ("http://localhost:80/", 400),
        ("http://localhost@example.com/", 400),
        ("http://example.com@localhost/", 400),
        ("http:///", 400),
        ("ftp://localhost/", 400),
    ],
)
async def test_an_absolute_target_must_name_the_same_host(target: str, status: int) -> None:
    async with serve({"/": describe, "/a": describe}) as door:
        answer = await door.asks(get(target))

        assert answer.status == status
        if status == 200:
            _, _, rest = target.partition("//")
            path = rest[len("localhost") :]
            assert json.loads(answer.body)["target"] == (path if path.startswith("/") else "/" + path)


@pytest.mark.parametrize("coding", ["gzip, chunked", "gzip,chunked", "xchunked", "identity", "chunked;q=1", "gzip"])
async def test_a_transfer_coding_other_than_chunked_is_501(coding: str) -> None:
    async with serve({"/": echo}) as door:
        client = await door.connect()
        answer = await client.asks(POST + f"Transfer-Encoding: {coding}\r\n\r\n0\r\n\r\n".encode())

        # Where chunked is not the last coding the parser may refuse before we do.
        assert answer.status in ((501,) if coding.endswith(" chunked") else (501, 400))
        assert answer.closes and await client.is_closed()


async def test_chunked_is_known_in_any_case() -> None:
    async with serve({"/": echo}) as door:
        answer = await door.asks(POST + b"Transfer-Encoding: Chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n")

        assert (answer.status, answer.body) == (200, b"ab")


async def test_a_transfer_coding_on_http_1_0_is_400() -> None:
    async with serve({"/": echo}) as door:
        data = b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"

        assert (await refusal(await door.connect(), data))[0] == 400


async def test_trailer_fields_are_dropped() -> None:
    async with serve({"/": describe}) as door:
        trailer = b"Host: example.com\r\nAuthorization: Bearer x\r\nX-Late: 1\r\n"
        head = CHUNKED + b"Trailer: Host\r\n\r\n"
        client = await door.connect()
        answer = await client.asks(head + b"2\r\nab\r\n0\r\n" + trailer + b"\r\n")

        asked = json.loads(answer.body)
        assert asked["body"] == "ab"
        assert [name for name, _ in asked["fields"]] == ["host", "transfer-encoding", "trailer"]
        assert (await client.asks(get())).status == 200  # and the next request is found


async def test_trailers_that_never_end_are_cut_at_the_header_limit() -> None:
    async with serve({"/": echo}) as door:
        client = await door.connect()
        await client.send(CHUNKED + b"\r\n2\r\nab\r\n0\r\nX: ")
        sent = 0
        while not client.seen and sent < 200_000:
            sent += client.send_now(b"x" * 1_000)
            with contextlib.suppress(BlockingIOError):
                client.seen += client.sock.recv(65_536)
            await asyncio.sleep(0)

        assert (await client.answer()).status == 431
        assert sent < 100_000


async def test_chunk_extensions_that_never_end_are_cut_at_the_header_limit() -> None:
    async with serve({"/": echo}) as door:
        client = await door.connect()
        await client.send(CHUNKED + b"\r\n2;a=", b"x" * 20_000, b"x" * 20_000)

        assert (await client.answer()).status == 431


async def test_many_small_chunks_are_not_taken_for_overhead() -> None:
    async with serve({"/": echo}) as door:
        answer = await door.asks(CHUNKED + b"\r\n" + b"1;x\r\na\r\n" * 20_000 + b"0\r\n\r\n")

        assert (answer.status, answer.body) == (200, b"a" * 20_000)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (GET + HOST + b"A: " + b"a" * 31_000 + b"\r\n\r\n", 200),
        (GET + HOST + b"A: " + b"a" * 34_500 + b"\r\n\r\n", 431),
        (GET + HOST + b"A: " + b"a" * 33_000, 431),  # without an end
        (GET + HOST + b"".join(b"A%d: b\r\n" % i for i in range(99)) + b"\r\n", 200),
        (GET + HOST + b"".join(b"A%d: b\r\n" % i for i in range(100)) + b"\r\n", 431),
        (GET + HOST + b"".join(b"A%d: b\r\n" % i for i in range(200_000)) + b"\r\n", 431),
        (b"GET /%b HTTP/1.1\r\n" % (b"a" * 2_047) + HOST + b"\r\n", 404),
        (b"GET /%b HTTP/1.1\r\n" % (b"a" * 2_048) + HOST + b"\r\n", 414),
        (b"GET /?%b HTTP/1.1\r\n" % (b"a" * 8_192) + HOST + b"\r\n", 200),
        (b"GET /?%b HTTP/1.1\r\n" % (b"a" * 8_193) + HOST + b"\r\n", 414),
        (b"GET /%b" % (b"a" * 40_000), 414),  # without an end
        (b"\r\n" * 20_000 + get(), 431),
    ],
)
async def test_the_size_of_a_head_is_limited(data: bytes, status: int) -> None:
    async with serve({"/": hello}) as door:
        client = await door.connect()
        sending = asyncio.ensure_future(client.send(data))

        assert (await client.answer()).status == status
        with contextlib.suppress(ConnectionError):
            await sending


async def test_a_head_of_20_mb_is_refused_before_it_is_all_sent() -> None:
    async with serve({"/": hello}) as door:
        client = await door.connect()
        await client.send(GET + HOST + b"A: ")
        for _ in range(40):
            client.send_now(b"a" * 1_000)
            await asyncio.sleep(0)

        assert (await client.answer()).status == 431


async def test_a_length_over_the_limit_is_413_before_a_byte_of_the_body() -> None:
    async with serve({"/": echo}) as door:
        client = await door.connect()
        for length in (16_000_001, 2**64 - 1):
            client = await door.connect()
            answer = await client.asks(POST + b"Content-Length: %d\r\n\r\n" % length)

            assert answer.status == 413 and answer.closes


@pytest.mark.parametrize(
    "line",
    [b"GET / HTTP/0.9", b"GET / HTTP/2.0", b"GET / RTSP/1.0", b"OPTIONS / RTSP/1.0", b"POST / RTSP/1.0", b"GET /"],
)
async def test_what_is_not_http_1_is_505(line: bytes) -> None:
    async with serve({"/": hello}) as door:
        status, _ = await refusal(await door.connect(), line + b"\r\n" + HOST + b"\r\n")

        assert status == 505


async def test_rtsp_is_not_taken_for_http_by_what_a_field_says() -> None:
    async with serve({"/": hello}) as door:
        data = b"GET / RTSP/1.0\r\n" + HOST + b"A: HTTP/1.0\r\nB: GET / HTTP/1.0\r\n\r\n"

        assert (await refusal(await door.connect(), data))[0] == 505


@pytest.mark.parametrize("version", ["1.0"])
async def test_http_1_0_is_answered_with_a_length_and_closed(version: str) -> None:
    async with serve({"/": hello}) as door:
        client = await door.connect()
        answer = await client.asks(get(version=version))

        assert (answer.status, answer.body, answer["content-length"]) == (200, b"hello", "5")
        assert answer.closes and await client.is_closed()


async def test_http_1_0_is_closed_whatever_connection_field_it_has() -> None:
    calls = []

    async def counted(request: Any) -> str:
        calls.append(request.target)
        return "x"

    async with serve({"/": counted}) as door:
        client = await door.connect()
        once = get("/", "Connection: keep-alive", version="1.0")
        answer = await client.asks(once + once)

        assert answer.closes and await client.is_closed()
        assert len(calls) == 1  # a request whose answer cannot be sent is not run


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_star_goes_with_options_only(method: str) -> None:
    async with serve({"/": hello}) as door:
        data = f"{method} * HTTP/1.1\r\n".encode() + HOST + b"\r\n"

        assert (await refusal(await door.connect(), data))[0] == 400


async def test_options_star_is_answered() -> None:
    async with serve({"/": hello}) as door:
        answer = await door.asks(b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n")

        assert answer.status == 204
        assert answer["content-length"] is None and answer["transfer-encoding"] is None


@pytest.mark.parametrize("target", ["/a\\b", "/a#b", "/#", "\\"])
async def test_backslash_and_hash_in_the_target_are_400(target: str) -> None:
    async with serve({"/": hello}) as door:
        assert (await door.asks(get(target))).status == 400


@pytest.mark.parametrize(
    "target", ["//evil.com/hello", "//evil.com", "//", "///", "//hello", "http://localhost//hello"]
)
async def test_slashes_at_the_start_never_lead_to_another_host(target: str) -> None:
    async with serve({"/": hello, "/hello": hello}) as door:
        answer = await door.asks(get(target))

        assert answer.status in (308, 404)
        assert not (answer["location"] or "/").startswith("//")


@pytest.mark.parametrize("protocol", ["h2c", "websocket", "TLS/1.2"])
async def test_an_upgrade_without_body_is_answered_as_http_1_1_and_closed(protocol: str) -> None:
    async with serve({"/": hello}) as door:
        client = await door.connect()
        answer = await client.asks(get("/", "Connection: Upgrade", f"Upgrade: {protocol}") + get())

        assert (answer.status, answer.body) == (200, b"hello")
        assert answer.closes and await client.is_closed()


async def test_an_upgrade_with_a_body_is_400() -> None:
    async with serve({"/": echo}) as door:
        fields = ("Connection: Upgrade", "Upgrade: h2c")
        assert (await refusal(await door.connect(), post("/", b"ab", *fields)))[0] == 400
        chunked = CHUNKED + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n2\r\nab\r\n0\r\n\r\n"
        assert (await refusal(await door.connect(), chunked))[0] == 400


async def test_an_upgrade_field_alone_changes_nothing() -> None:
    async with serve({"/": echo}) as door:
        client = await door.connect()
        answer = await client.asks(post("/", b"ab", "Upgrade: h2c"))

        assert (answer.status, answer.body) == (200, b"ab")
        assert (await client.asks(get())).status == 200


@pytest.mark.parametrize(
    "line",
    [
        "TRACE / HTTP/1.1",
        "PROPFIND / HTTP/1.1",
        "MKCOL / HTTP/1.1",
        "DESCRIBE / RTSP/1.0",
        "SOURCE / HTTP/1.1",
        "M-SEARCH / HTTP/1.1",
        "QUERY / HTTP/1.1",
        "CONNECT localhost:80 HTTP/1.1",
    ],
)
async def test_methods_outside_the_seven_are_501(line: str) -> None:
    async with serve({"/": hello}) as door:
        status, problem = await refusal(await door.connect(), line.encode() + b"\r\n" + HOST + b"\r\n")

        if line.endswith("RTSP/1.0"):
            assert status in (501, 505)
        else:
            assert (status, problem["code"]) == (501, "method_not_implemented")


@pytest.mark.parametrize("method", ["GETS", "FOO", "HELLO", "GET-IT", "get", "Get"])
async def test_a_method_nobody_knows_is_refused(method: str) -> None:
    async with serve({"/": hello}) as door:
        status, _ = await refusal(await door.connect(), f"{method} / HTTP/1.1\r\n".encode() + HOST + b"\r\n")

        assert status == 501


async def test_underscores_and_hyphens_are_never_merged() -> None:
    async with serve({"/": describe}) as door:
        client = await door.connect()
        answer = await client.asks(post("/", b"abc", "Content_Length: 1", "Transfer_Encoding: chunked", "Ho_st: x"))

        fields = dict(json.loads(answer.body)["fields"])
        assert json.loads(answer.body)["body"] == "abc"
        assert (fields["content-length"], fields["content_length"]) == ("3", "1")


async def test_bytes_after_the_last_request_are_ignored() -> None:
    release = asyncio.Event()

    async def waits(request: Any) -> str:
        await release.wait()
        return "done"

    async with serve({"/": waits}) as door:
        client = await door.connect()
        await client.send(get("/", "Connection: close") + get() + b"\x00nonsense", b"more nonsense")
        release.set()
        answer = await client.answer()

        assert answer.status == 200 and answer.closes
        assert await client.is_closed()


async def test_blank_lines_before_a_request_are_skipped() -> None:
    async with serve({"/": hello}) as door:
        client = await door.connect()
        await client.send(b"\r\n", b"\r\n" + get())
        assert (await client.answer()).status == 200
        await client.send(b"\r\n" + b"GET / HTTP", b"/1.0\r\n" + HOST + b"\r\n")
        assert (await client.answer()).status == 200


async def test_a_fault_of_our_own_in_a_callback_is_a_logged_500(caplog: pytest.LogCaptureFixture) -> None:
    async with serve({"/": hello}) as door:
        door.serving.hosts = None  # type: ignore[assignment]
        with caplog.at_level(logging.ERROR):
            status, _ = await refusal(await door.connect(), get())

        assert status == 500
        assert "parser callback" in caplog.text


# --- answers


async def test_framing_fields_of_an_app_are_replaced() -> None:
    lies = {
        "content-length": "999",
        "transfer-encoding": "gzip",
        "connection": "upgrade",
        "keep-alive": "timeout=9",
        "upgrade": "h2c",
        "trailer": "x",
        "te": "trailers",
        "x-own": "kept",
    }

    async def handler(request: Any) -> Response:
        return Response("four", headers=lies)

    async with serve({"/": handler}) as door:
        client = await door.connect()
        answer = await client.asks(get())

        assert (answer.body, answer["content-length"], answer["x-own"]) == (b"four", "4", "kept")
        assert all(answer[name] is None for name in lies if name not in ("content-length", "x-own"))
        assert (await client.asks(get())).body == b"four"


async def test_every_answer_has_date_and_the_default_fields_once_and_no_server_field() -> None:
    async with serve({"/": hello}) as door:
        for data in (get(), get("/none"), b"nonsense\r\n\r\n"):
            answer = await door.asks(data)

            assert answer["date"] is not None and answer["server"] is None
            for name, value in DEFAULTS:
                assert answer[name] == value


def streaming(*items: Any, length: int | None = None, status: int = 200) -> Any:
    async def handler(request: Any) -> Response:
        async def chunks() -> Any:
            for item in items:
                if isinstance(item, Exception):
                    raise item
                yield item

        response = Response.stream(chunks(), status)
        response.content_length = length
        return response

    return handler


async def test_a_stream_is_sent_in_chunks_and_the_connection_goes_on() -> None:
    async with serve({"/": streaming("ab", b"", b"cde")}) as door:
        client = await door.connect()
        for _ in range(2):
            answer = await client.asks(get())

            assert answer["transfer-encoding"] == "chunked"
            assert answer.chunks == [b"ab", b"cde"]


async def test_a_stream_of_declared_length_has_that_length_and_no_chunks() -> None:
    async with serve({"/": streaming("ab", "cde", length=5)}) as door:
        client = await door.connect()
        for _ in range(2):
            answer = await client.asks(get())

            assert (answer.body, answer["content-length"], answer["transfer-encoding"]) == (b"abcde", "5", None)


async def test_a_stream_over_its_declared_length_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    async with serve({"/": streaming("ab", "cde", length=4)}) as door:
        client = await door.connect()
        await client.send(get() + get())

        await client.end()
        assert client.seen.count(b"HTTP/1.1") == 1 and client.seen.endswith(b"\r\n\r\nab")
    assert "more than its declared 4 bytes" in caplog.text


async def test_a_stream_under_its_declared_length_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    async with serve({"/": streaming("ab", length=4)}) as door:
        client = await door.connect()
        await client.send(get() + get())

        await client.end()
        assert client.seen.count(b"HTTP/1.1") == 1 and client.seen.endswith(b"\r\n\r\nab")
    assert "2 of its declared 4 bytes" in caplog.text


@pytest.mark.parametrize("bad", [RuntimeError("no"), 5], ids=["raises", "wrong type"])
async def test_an_error_after_the_head_aborts_without_a_last_chunk(bad: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with serve({"/": streaming("ab", bad)}) as door:
        client = await door.connect()
        await client.send(get() + get())

        await client.end()
        assert client.seen.count(b"HTTP/1.1") == 1 and client.seen.endswith(b"\r\n\r\n2\r\nab\r\n")
    assert "a stream failed" in caplog.text


async def test_a_broken_stream_to_http_1_0_is_a_reset_since_its_end_would_look_whole() -> None:
    async with serve({"/": streaming("ab", RuntimeError("no"))}) as door:
        client = await door.connect()
        await client.send(get(version="1.0"))

        assert await client.end() == "reset"


async def test_what_waits_behind_a_broken_stream_is_not_run() -> None:
    calls = []

    async def counted(request: Any) -> str:
        calls.append(request.target)
        return "x"

    async def late(request: Any) -> Response:
        await asyncio.sleep(0.01)
        return await streaming(RuntimeError("no"))(request)  # type: ignore[no-any-return]

    async with serve({"/bad": streaming(RuntimeError("no")), "/late": late, "/": counted}) as door:
        for path in ("/bad", "/late"):
            client = await door.connect()
            await client.send(get(path) + get() + get())
            await client.end()

    assert calls == []


async def test_head_has_the_fields_of_get_and_no_body() -> None:
    pulled = []

    async def stream(request: Any) -> Response:
        async def chunks() -> Any:
            pulled.append(1)
            yield "x"

        return Response.stream(chunks())

    async with serve({"/": hello, "/stream": stream, "/sized": streaming("ab", length=2)}) as door:
        client = await door.connect()
        for path, field, value in (
            ("/", "content-length", "5"),
            ("/stream", "transfer-encoding", "chunked"),
            ("/sized", "content-length", "2"),
            ("/none", "content-type", "application/problem+json"),
        ):
            await client.send(get(path).replace(b"GET", b"HEAD", 1))
            answer = await client.answer(head_only=True)

            assert answer[field] == value
        assert (await client.asks(get())).body == b"hello"  # nothing was left on the wire
    assert pulled == []


@pytest.mark.parametrize("status", [204, 205, 304])
async def test_a_status_without_body_has_none_on_the_wire(status: int) -> None:
    async def handler(request: Any) -> Response:
        return Response(None, status)

    async with serve({"/": handler, "/hello": hello}) as door:
        client = await door.connect()
        await client.send(get() + get("/hello"))
        answer = await client.answer()

        assert answer.status == status
        assert answer["transfer-encoding"] is None
        assert answer["content-length"] == ("0" if status == 205 else None)
        assert (await client.answer()).body == b"hello"


@pytest.mark.parametrize("status", [204, 304])
async def test_a_stream_turned_into_a_status_without_body_sends_no_framing(status: int) -> None:
    async def handler(request: Any) -> Response:
        response: Response = await streaming("ab")(request)
        response.status = status
        return response

    async with serve({"/": handler, "/hello": hello}) as door:
        client = await door.connect()
        await client.send(get() + get("/hello"))
        answer = await client.answer()

        assert answer["transfer-encoding"] is None and answer["content-length"] is None
        assert (await client.answer()).body == b"hello"


async def test_a_stream_to_http_1_0_ends_with_the_connection() -> None:
    async with serve({"/": streaming("ab", "cde"), "/sized": streaming("ab", length=2)}) as door:
        answer = await door.asks(get(version="1.0"))

        assert answer["transfer-encoding"] is None and answer["content-length"] is None
        assert answer.closes and answer.body == b"abcde"
        answer = await door.asks(get("/sized", version="1.0"))
        assert answer.closes and answer["content-length"] == "2"


@pytest.mark.parametrize("status", [199, 600, 1000, "200", None])
async def test_a_status_that_is_none_is_a_500_at_the_door(status: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: Any) -> Response:
        response = Response("x")
        response.status = status
        return response

    async def stream(request: Any) -> Response:
        response: Response = await streaming("ab")(request)
        response.status = status
        return response

    async with serve({"/": handler, "/stream": stream, "/hello": hello}) as door:
        for path in ("/", "/stream"):
            client = await door.connect()
            answer = await client.asks(get(path))

            assert answer.status == 500
            assert json.loads(answer.body)["status"] == 500
            assert (await client.asks(get("/hello"))).body == b"hello"
    assert "cannot be sent" in caplog.text


async def test_a_field_that_cannot_be_sent_is_a_500_and_never_left_out(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: Any) -> Response:
        response = Response("x", headers={"a": "b"})
        for pairs in (getattr(response.headers, name) for name in response.headers.__slots__):
            if isinstance(pairs, list):
                pairs.append(("x-bad", "\u20ac"))
        return response

    async with serve({"/": handler}) as door:
        assert (await door.asks(get())).status == 500


async def test_keep_alive_answers_one_after_the_other_on_one_connection() -> None:
    async with serve({"/": hello}) as door:
        client = await door.connect()
        for _ in range(5):
            answer = await client.asks(get())

            assert answer.body == b"hello" and answer["connection"] is None
        assert len(door.serving.connections) == 1


async def test_connection_close_is_honoured_and_said() -> None:
    async with serve({"/": hello}) as door:
        client = await door.connect()
        answer = await client.asks(get("/", "Connection: close"))

        assert answer.closes and await client.is_closed()


async def test_while_draining_every_answer_closes_and_what_is_pipelined_behind_it_is_not_run() -> None:
    calls = []
    go_on = asyncio.Event()

    async def counted(request: Any) -> str:
        calls.append(request.target)
        if "wait" in request.target:
            await go_on.wait()
        return "x"

    async with serve({"/": counted}) as door:
        door.serving.drain()
        client = await door.connect()
        answer = await client.asks(get() + get("/?2"))
        assert answer.closes and await client.is_closed()

        client = await door.connect()
        await client.send(get("/?wait") + get("/?3") + get("/?4"))
        go_on.set()
        answer = await client.answer()
        assert answer.closes and await client.is_closed()
    assert calls == ["/", "/?wait"]


async def test_a_kept_answer_that_cannot_be_given_is_a_500_and_leaves_nothing_in_flight() -> None:
    def broken(request: Any) -> None:
        raise TypeError("not an answer")

    async with serve({"/": hello}) as door:
        again, once = await door.connect(), await door.connect()
        assert [(await again.asks(get())).status for _ in range(2)] == [200, 200]
        door.app.kept = broken
        for client in (again, once):
            assert (await client.asks(get())).status == 500
            assert await client.is_closed()
        assert not door.serving.in_flight


async def test_a_request_that_has_arrived_and_is_not_read_yet_is_answered_when_idle_connections_close() -> None:
    async with serve({"/": echo}) as door:
        quiet, last = await door.connect(), await door.connect()
        for client in (quiet, last):
            assert (await client.asks(get())).status == 200
        last.send_now(post("/", b"once"))  # and no turn of the loop before what follows
        door.serving.drain()
        door.serving.close_idle()

        answer = await last.answer()
        assert (answer.status, answer.body, answer.closes) == (200, b"once", True)
        assert await quiet.is_closed() and await last.is_closed()


async def test_idle_connections_close_and_busy_ones_finish_when_asked_to_close_idle() -> None:
    release = asyncio.Event()

    async def waits(request: Any) -> str:
        await release.wait()
        return "x"

    async with serve({"/": waits}) as door:
        idle, busy = await door.connect(), await door.connect()
        await busy.send(get())
        door.serving.close_idle()
        assert await idle.is_closed()
        release.set()
        assert (await busy.answer()).status == 200


async def test_a_client_still_sending_gets_the_refusal_and_not_a_reset() -> None:
    async with serve({"/": echo}) as door:
        client = await door.connect()
        body = b"x" * 50_000
        await client.send(POST + b"Content-Length: 20000000\r\n\r\n", body)

        assert (await client.answer()).status == 413
        assert await client.is_closed()


async def test_a_refused_client_that_goes_on_sending_is_hung_up_on() -> None:
    async with serve({"/": echo}) as door:
        client = await door.connect()
        await client.send(POST + b"Content-Length: 20000000\r\n\r\n")
        assert (await client.answer()).status == 413
        with pytest.raises(ConnectionError):
            for _ in range(1_000):
                await client.send(b"x" * 10_000)


async def test_a_refused_client_that_stays_is_hung_up_on() -> None:
    async with serve({"/": hello}) as door:
        client = await door.connect()
        await client.send(b"nonsense\r\n\r\n")
        await door.pass_s(1, 1, 1)

        await until(lambda: not door.serving.connections)


async def test_a_large_answer_is_whole_also_when_the_client_has_ended_its_half() -> None:
    large = b"x" * 3_000_000

    async def handler(request: Any) -> bytes:
        return large

    async with serve({"/": handler}) as door:
        client = await door.connect(receive_buffer=4_096)
        await client.send(get())
        client.ends_sending()
        answer = await client.answer()

        assert answer.body == large


async def test_after_work_runs_when_the_answer_is_out() -> None:
    order = []

    async def handler(request: Any) -> str:
        after(order.append, "sync")

        async def later() -> None:
            order.append("async")

        after(later)
        order.append("handler")
        return "x"

    async with serve({"/": handler}) as door:
        assert (await door.asks(get())).status == 200
        await until(lambda: len(order) == 3)
    assert order == ["handler", "sync", "async"]


async def test_after_work_of_a_stream_runs_when_the_stream_has_ended() -> None:
    order: list[str] = []

    async def handler(request: Any) -> Response:
        async def chunks() -> Any:
            yield "a"
            order.append("stream")

        after(order.append, "after")
        return Response.stream(chunks())

    async with serve({"/": handler}) as door:
        await door.asks(get())
        await until(lambda: len(order) == 2)
    assert order == ["stream", "after"]


async def test_a_handler_that_raises_is_a_500_and_the_connection_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def at_once(request: Any) -> None:
        raise RuntimeError("secret")

    async def later(request: Any) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("secret")

    async with serve({"/": at_once, "/later": later}) as door:
        client = await door.connect()
        for path in ("/", "/later", "/"):
            answer = await client.asks(get(path))
            assert answer.status == 500 and b"secret" not in answer.body


async def test_a_handler_that_cancels_itself_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    async def at_once(request: Any) -> None:
        raise asyncio.CancelledError

    async def later(request: Any) -> None:
        await asyncio.sleep(0)
        raise asyncio.CancelledError

    async def leaked(request: Any) -> None:
        task = asyncio.ensure_future(asyncio.sleep(10))
        asyncio.get_running_loop().call_soon(task.cancel)
        await task

    async with serve({"/": at_once, "/later": later, "/leaked": leaked}) as door:
        for path in ("/", "/later", "/leaked"):
            client = await door.connect()
            answer = await client.asks(get(path) + get())
            assert answer.status == 500 and answer.closes
            assert await client.is_closed()
    assert "cancelled" in caplog.text


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
async def test_a_handler_that_wants_to_exit_loses_its_connection_only(kind: type[BaseException]) -> None:
    async def handler(request: Any) -> None:
        raise kind

    async with serve({"/": handler, "/hello": hello}) as door:
        client = await door.connect()
        await client.send(get())
        assert (await client.answer()).status == 500
        assert (await door.asks(get("/hello"))).status == 200


async def test_a_connection_is_freed_without_the_garbage_collector() -> None:
    import gc
    import weakref

    async with serve({"/": echo}) as door:
        client = await door.connect()
        await client.asks(post("/", b"ab"))
        gone = weakref.ref(next(iter(door.serving.connections)))
        gc.collect()
        gc.disable()
        try:
            client.close()
            await until(lambda: not door.serving.connections)
            await until(lambda: gone() is None)
        finally:
            gc.enable()
