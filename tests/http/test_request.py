from __future__ import annotations

import pytest

from turnout import BadRequest, BodyUsed, PayloadTooLarge, Request, UnsupportedMediaType
from turnout.http.address import Trust
from turnout.http.body import Limits


def post(body: bytes, **headers: str) -> Request:
    return Request("POST", "/x", headers={name.replace("_", "-"): value for name, value in headers.items()}, body=body)


def trickle(*pieces: bytes, declared: int | None = None) -> Request:
    left = list(pieces)

    async def read() -> bytes:
        return left.pop(0) if left else b""

    headers = {"content-length": str(declared)} if declared is not None else {}
    return Request("POST", "/x", headers={**headers, "content-type": "application/json"}, read=read)


def test_the_url_is_built_from_the_connection_and_the_host() -> None:
    request = Request("GET", "/a%20b?x=1&x=2", headers={"host": "example.com:8000"}, peer="1.2.3.4")
    url = request.url
    assert str(url) == url.href == "http://example.com:8000/a%20b?x=1&x=2"
    assert (url.pathname, url.search, url.origin) == ("/a%20b", "?x=1&x=2", "http://example.com:8000")
    assert url.search_params.get_all("x") == ["1", "2"]
    assert request.path == "/a%20b"
    assert request.search == "?x=1&x=2"
    assert request.search_params.get("x") == "1"


def test_forwarding_fields_count_only_from_trusted_peers() -> None:
    fields = {
        "host": "in",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "out.example",
        "x-forwarded-for": "9.9.9.9",
    }
    stranger = Request("GET", "/", headers=fields, peer="1.2.3.4")
    assert (stranger.url.href, stranger.ip, stranger.secure) == ("http://in/", "1.2.3.4", False)
    proxied = Request("GET", "/", headers=fields, peer="10.0.0.1")
    proxied.trust = Trust.of(["10.0.0.0/8"])
    assert (proxied.url.href, proxied.ip, proxied.secure) == ("https://out.example/", "9.9.9.9", True)
    proxied = Request("GET", "/", headers=fields, peer="10.0.0.1")
    proxied.trust = Trust.of(["10.0.0.0/8"], "https://origin.example/")
    assert proxied.url.href == "https://origin.example/"


def test_several_host_fields_are_refused() -> None:
    with pytest.raises(BadRequest, match="several Host"):
        _ = Request("GET", "/", headers=[("host", "a"), ("host", "b")]).host


def test_the_first_of_two_equal_cookies_wins() -> None:
    assert Request("GET", "/", headers=[("cookie", "a=1; b=2"), ("cookie", "a=3")]).cookies == {"a": "1", "b": "2"}


def test_an_id_is_sixteen_hexadecimal_digits_and_stays() -> None:
    request = Request("GET", "/", headers={"x-request-id": "chosen-by-client"})
    assert request.id == request.id
    assert len(request.id) == 16
    assert int(request.id, 16) >= 0


async def test_json_text_and_bytes_can_be_read_in_any_order_and_again() -> None:
    request = post(b'{"a": 1}', content_type="application/json")
    assert await request.bytes() == b'{"a": 1}'
    assert await request.json() == {"a": 1}
    assert await request.text() == '{"a": 1}'
    assert await request.json(dict[str, int]) == {"a": 1}
    request = trickle(b'{"a"', b": 1}")
    assert await request.json() == {"a": 1}
    assert await request.bytes() == b'{"a": 1}'


async def test_a_stream_is_read_once() -> None:
    request = trickle(b"ab", b"cd")
    assert [piece async for piece in request.stream()] == [b"ab", b"cd"]
    for read in (request.bytes, request.text, request.json):
        with pytest.raises(BodyUsed):
            await read()
    with pytest.raises(BodyUsed):
        _ = [piece async for piece in request.stream()]


async def test_a_whole_body_streams_too_and_is_gone_then() -> None:
    request = post(b"abc")
    assert [piece async for piece in request.stream()] == [b"abc"]
    with pytest.raises(BodyUsed):
        await request.bytes()


async def test_a_stream_after_a_failed_read_gives_all_of_the_body() -> None:
    request = trickle(b"12", b"345", b"6")
    request.limits = Limits(json_bytes=3)
    with pytest.raises(PayloadTooLarge):
        await request.json()
    assert b"".join([piece async for piece in request.stream()]) == b"123456"


async def test_a_model_demands_a_json_content_type() -> None:
    with pytest.raises(UnsupportedMediaType):
        await post(b'{"a": 1}', content_type="text/plain").json(dict[str, int])
    with pytest.raises(UnsupportedMediaType):
        await post(b'{"a": 1}').json(dict[str, int])
    assert await post(b'{"a": 1}', content_type="application/vnd.x+json; charset=utf-8").json(dict[str, int]) == {
        "a": 1
    }


@pytest.mark.parametrize("over", [-1, 0, 1])
@pytest.mark.parametrize("known", [True, False])
async def test_a_body_is_refused_from_one_byte_over_its_limit(over: int, known: bool) -> None:
    reads = 0
    body = b'"' + b"a" * (98 + over) + b'"'

    async def read() -> bytes:
        nonlocal reads
        reads += 1
        return body if reads == 1 else b""

    headers = {"content-length": str(len(body))} if known else {}
    request = Request("POST", "/x", headers=headers, read=read)
    request.limits = Limits(json_bytes=100)
    if over <= 0:
        assert len(await request.json()) == 98 + over
        return
    with pytest.raises(PayloadTooLarge, match="100 bytes"):
        await request.json()
    assert reads == (0 if known else 1)


async def test_the_limit_of_a_route_replaces_the_others() -> None:
    request = post(b'"' + b"a" * 200 + b'"', content_type="application/json")
    request.limits, request.body_limit = Limits(json_bytes=10, body_bytes=10), 300
    assert len(await request.json()) == 200
    request.body_limit = 100
    with pytest.raises(PayloadTooLarge):
        await request.bytes()


async def test_the_signal_tells_who_waits_for_it() -> None:
    request = Request("GET", "/")
    assert not request.signal.aborted
    request.signal.abort()
    await request.signal.wait()
    assert request.signal.aborted


def test_a_repr_shows_no_query() -> None:
    assert repr(Request("GET", "/x?token=s3cret")) == "<Request GET /x>"


def test_state_is_a_place_for_middleware() -> None:
    request = Request("GET", "/")
    request.state.user = "ada"
    assert request.state.user == "ada"
