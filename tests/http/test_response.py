from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import uuid
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pydantic
import pytest

from turnout import Headers, RangeError, Response, redirect
from turnout.http import guard
from turnout.http.response import to_response


def sent(response: Response) -> dict[str, str]:
    return dict(guard.fields(response))


def test_a_str_is_text_bytes_are_bytes_and_none_is_nothing() -> None:
    assert (Response("é").body, sent(Response("é"))["content-type"]) == ("é".encode(), "text/plain; charset=utf-8")
    assert sent(Response(b"x"))["content-type"] == "application/octet-stream"
    assert (Response().body, "content-type" in sent(Response())) == (b"", False)


def test_a_str_is_never_sniffed_into_html() -> None:
    assert sent(Response("<html>"))["content-type"].startswith("text/plain")
    assert sent(Response("<html>"))["x-content-type-options"] == "nosniff"


def test_options_by_place_are_told_their_names() -> None:
    with pytest.raises(RangeError, match="options are keywords: status=201"):
        Response.json({}, {"status": 201})  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [0, 99, 100, 101, 199, 600, 1000, -1, True, "200", None])
def test_a_status_outside_200_to_599_raises(status: Any) -> None:
    with pytest.raises(RangeError):
        Response("x", status)
    with pytest.raises(RangeError):
        Response.json({}, status)


@pytest.mark.parametrize("status", [204, 205, 304])
def test_a_body_with_a_status_that_has_none_raises(status: int) -> None:
    assert Response(None, status).body == b""
    with pytest.raises(TypeError, match="no body"):
        Response("", status)
    with pytest.raises(TypeError, match="no body"):
        Response.json({}, status)


def test_another_type_of_body_says_what_to_use() -> None:
    with pytest.raises(TypeError, match=r"Response\.json"):
        Response({"a": 1})  # type: ignore[arg-type]


@pytest.mark.parametrize("headers", [{"X-One": "1"}, [("X-One", "1")], Headers({"X-One": "1"}), iter([("X-One", "1")])])
def test_headers_may_be_a_mapping_pairs_or_headers(headers: Any) -> None:
    assert Response.json({}, headers=headers).headers.get("x-one") == "1"


def test_given_headers_replace_the_content_type_and_keep_cookies_apart() -> None:
    response = Response.json(
        {}, headers=[("content-type", "application/ld+json"), ("set-cookie", "a=1"), ("set-cookie", "b=2")]
    )
    assert response.headers.get_all("content-type") == ["application/ld+json"]
    assert response.headers.get_set_cookie() == ["a=1", "b=2"]


def test_a_header_that_could_break_its_line_raises_where_it_is_set() -> None:
    with pytest.raises(TypeError):
        Response("x", headers={"x": "a\r\nset-cookie: b=1"})
    with pytest.raises(TypeError):
        Response("x").headers.set("x\r\n", "a")


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int


class Post(msgspec.Struct):
    title: str


class User(pydantic.BaseModel):
    born: datetime.date


@pytest.mark.parametrize(
    ("data", "body"),
    [
        ({"a": [1, None, True]}, b'{"a":[1,null,true]}'),
        (datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), b'"2026-01-02T00:00:00Z"'),
        (uuid.UUID(int=1), b'"00000000-0000-0000-0000-000000000001"'),
        (decimal.Decimal("1.50"), b"1.50"),
        (Color.RED, b'"red"'),
        (Point(1), b'{"x":1}'),
        (Post("t"), b'{"title":"t"}'),
        (User(born=datetime.date(2000, 1, 2)), b'{"born":"2000-01-02"}'),
        ([User(born=datetime.date(2000, 1, 2))], b'[{"born":"2000-01-02"}]'),
    ],
)
def test_data_is_written_as_json(data: Any, body: bytes) -> None:
    assert Response.json(data).body == body
    assert to_response(data).body == body


def test_what_cannot_be_written_names_its_place() -> None:
    with pytest.raises(TypeError, match=r'\["items"\]\[1\]'):
        Response.json({"items": [1, object()]})


async def chunks() -> AsyncIterator[str]:
    yield "a"


@pytest.mark.parametrize(
    ("value", "status", "media_type"),
    [
        (None, 204, None),
        ("x", 200, "application/json"),
        (1, 200, "application/json"),
        ({"a": 1}, 200, "application/json"),
        (b"x", 200, "application/octet-stream"),
    ],
)
def test_what_a_handler_returns_becomes_a_response(value: Any, status: int, media_type: str | None) -> None:
    response = to_response(value)
    assert (response.status, sent(response).get("content-type")) == (status, media_type)


async def test_an_async_iterator_becomes_a_stream() -> None:
    response = to_response(chunks())
    assert response.chunks is not None
    assert [piece async for piece in response.chunks] == ["a"]
    response = to_response(letter for letter in "ab")
    assert response.chunks is not None
    assert [piece async for piece in response.chunks] == ["a", "b"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_response(status: int) -> None:
    response = redirect("/login?next=%2Fa", status)
    assert (response.status, response.headers.get("location")) == (status, "/login?next=%2Fa")


def test_a_redirect_says_where_in_ascii() -> None:
    assert redirect("/café").headers.get("location") == "/caf%C3%A9"
    assert redirect("https://example.com/é", 303, external=True).headers.get("location") == "https://example.com/%C3%A9"


@pytest.mark.parametrize(
    "url",
    [
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example",
        "http:evil.example",
        "javascript:alert(1)",
        "/a\r\nset-cookie: x=1",
        "/\tevil",
        " //evil.example",
        "\x00//evil",
        "evil.example",
        "",
        "/a\\b",
        "/\x7f",
    ],
)
def test_a_redirect_that_could_leave_the_site_raises(url: str) -> None:
    with pytest.raises(ValueError, match="could leave this site"):
        redirect(url)


def test_other_statuses_are_no_redirects() -> None:
    with pytest.raises(RangeError):
        redirect("/", 200)


def test_cookies_are_written_when_it_is_known_how_the_client_speaks() -> None:
    response = Response("x")
    response.set_cookie("a", "1", max_age=60)
    response.set_cookie("b", "2", secure=False, same_site="strict", http_only=False)
    response.delete_cookie("c")
    response.write_cookies(secure=True)
    assert response.headers.get_set_cookie() == [
        "a=1; Max-Age=60; Path=/; Secure; HttpOnly; SameSite=Lax",
        "b=2; Path=/; SameSite=Strict",
        "c=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax",
    ]
    assert sent(response)["cache-control"] == "no-store"


def test_a_bad_cookie_is_an_error_where_it_is_set() -> None:
    with pytest.raises(TypeError):
        Response("x").set_cookie("a", "b; Domain=evil")


def test_every_answer_has_the_default_security_headers() -> None:
    for response in (
        Response(),
        Response("x"),
        Response.json({}),
        Response(None, 204),
        redirect("/"),
        Response.error(),
    ):
        fields = sent(response)
        assert fields["x-content-type-options"] == "nosniff"
        assert fields["referrer-policy"] == "strict-origin-when-cross-origin"
        assert fields["x-frame-options"] == "DENY"
        assert fields["cross-origin-opener-policy"] == "same-origin"
        assert fields["cross-origin-resource-policy"] == "same-origin"
        assert fields["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "default-src 'self'" in sent(Response.html("<p>"))["content-security-policy"]


def test_not_modified_changes_no_policy_of_the_page_that_a_browser_has() -> None:
    # It would be that of data, which lets no style in: a 304 has no type.
    assert "content-security-policy" not in sent(Response(None, 304, {"etag": '"1"'}))
    own = Response(None, 304, {"content-security-policy": "default-src 'self'"})
    assert sent(own)["content-security-policy"] == "default-src 'self'"


def test_the_two_ways_of_writing_a_head_agree() -> None:
    for make in (Response, lambda: Response("x"), lambda: Response.json({}), lambda: Response.html("x")):
        ready = guard.head_bytes(make()).decode()
        assert ready == "".join(f"{name}: {value}\r\n" for name, value in guard.fields(make()))


def test_an_apps_own_header_wins_over_the_default() -> None:
    response = Response("x", headers={"X-Frame-Options": "SAMEORIGIN"})
    assert [value for name, value in guard.fields(response) if name == "x-frame-options"] == ["SAMEORIGIN"]


@pytest.mark.parametrize("name", sorted(guard.FRAMING))
def test_framing_fields_of_an_app_are_left_out(name: str) -> None:
    assert name not in sent(Response("x", headers={name: "5"}))


def test_a_stream_of_the_wrong_kind_raises() -> None:
    with pytest.raises(TypeError, match="iterator"):
        Response.stream("text")
    with pytest.raises(TypeError, match="iterator"):
        Response.stream(5)  # type: ignore[arg-type]
