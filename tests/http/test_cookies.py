"""Cookies: reading never fails, writing never drops."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.http.cookies import parse_cookies, to_set_cookie

CONTROLS = [chr(byte) for byte in (*range(32), 127)]
NAMES = st.text("!#$%&'*+-.^_`|~0123456789abcXYZ", min_size=1, max_size=30).filter(
    lambda name: not name.lower().startswith(("__host-", "__secure-"))
)
VALUES = st.text([chr(b) for b in range(33, 127) if chr(b) not in '",;\\'], max_size=50)


@pytest.mark.parametrize(
    ("header", "jar"),
    [
        (["a=1; b=2"], {"a": "1", "b": "2"}),
        (["a=1", "b=2"], {"a": "1", "b": "2"}),
        (["a=1;b=2;  c = 3 "], {"a": "1", "b": "2", "c": "3"}),
        (["a=1; a=2", "a=3"], {"a": "1"}),
        (['a="quoted"; b=x=y=='], {"a": '"quoted"', "b": "x=y=="}),
        (["a=%20; b="], {"a": "%20", "b": ""}),
        (["nonsense; =x; ; ;;a=1; \t"], {"a": "1"}),
        (["a=x y; b[0]=1"], {"a": "x y", "b[0]": "1"}),
        (["a\x01=1; b=\x7f; c=\t3"], {"c": "3"}),
        ([""], {}),
        ([], {}),
    ],
)
def test_a_cookie_header_is_read(header: list[str], jar: dict[str, str]) -> None:
    assert parse_cookies(header) == jar


@pytest.mark.parametrize("space", ["\x85", "\xa0", "\u2000", "\x0b", "\x1c"])
def test_no_white_space_but_blank_and_tab_leads_to_a_prefixed_name(space: str) -> None:
    assert "__Host-session" not in parse_cookies([f"{space}__Host-session=evil"])


@given(st.lists(st.text(max_size=50)))
@settings(deadline=None)
def test_reading_never_fails(headers: list[str]) -> None:
    assert "" not in parse_cookies(headers)


def test_the_defaults_are_safe() -> None:
    assert to_set_cookie("a", "1") == "a=1; Path=/; HttpOnly; SameSite=Lax"


def test_every_attribute_is_written() -> None:
    moment = datetime(2026, 11, 5, 8, 9, 10, tzinfo=timezone(timedelta(hours=2)))
    written = to_set_cookie(
        "a", '"1"', max_age=60, expires=moment, path="/x", domain="example.com", secure=True, same_site="none"
    )
    assert written == (
        'a="1"; Max-Age=60; Expires=Thu, 05 Nov 2026 06:09:10 GMT; Path=/x; Domain=example.com; '
        "Secure; HttpOnly; SameSite=None"
    )


def test_attributes_can_be_left_out() -> None:
    assert to_set_cookie("a", "", path=None, http_only=False, same_site=None) == "a="
    assert to_set_cookie("a", "", max_age=-1, same_site="strict").startswith("a=; Max-Age=-1; Path=/")


def test_a_prefixed_cookie_with_its_conditions_is_written() -> None:
    assert to_set_cookie("__Host-s", "1", secure=True) == "__Host-s=1; Path=/; Secure; HttpOnly; SameSite=Lax"
    assert "Domain=h.example" in to_set_cookie("__Secure-s", "1", secure=True, domain="h.example")


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
@pytest.mark.parametrize("place", ["name", "value", "path", "domain"])
@pytest.mark.parametrize("shape", ["{0}", "x{0}", "{0}x", "x{0}x"])
def test_no_control_character_gets_into_any_slot(control: str, place: str, shape: str) -> None:
    text = shape.format(control)
    slots: dict[str, Any] = {"name": "a", "value": "1", place: "/" + text if place == "path" else text}
    with pytest.raises(TypeError):
        to_set_cookie(**slots)


@pytest.mark.parametrize(
    "slots",
    [
        {"name": ""},
        {"name": "a b"},
        {"name": "a=b"},
        {"name": "a;b"},
        {"name": "é"},
        {"name": 7},
        {"value": "a b"},
        {"value": "a,b"},
        {"value": "a;b"},
        {"value": '"'},
        {"value": '"a'},
        {"value": 'a"b'},
        {"value": "a\\b"},
        {"value": "é"},
        {"value": None},
        {"value": b"1"},
        {"path": "/a;b"},
        {"path": "/é"},
        {"path": 1},
        {"domain": "a b"},
        {"domain": "a;b"},
        {"domain": "bücher.example"},
        {"domain": ""},
        {"domain": "a."},
        {"domain": 1},
        {"max_age": "60"},
        {"max_age": 1.5},
        {"max_age": True},
        {"expires": 0},
    ],
    ids=repr,
)
def test_a_wrong_type_or_character_is_a_type_error(slots: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="cookie"):
        to_set_cookie(**{"name": "a", "value": "1", **slots})


@pytest.mark.parametrize(
    "slots",
    [
        {"name": "__Host-a"},
        {"name": "__host-a"},
        {"name": "__Host-a", "secure": True, "path": "/x"},
        {"name": "__Host-a", "secure": True, "path": None},
        {"name": "__Host-a", "secure": True, "domain": "example.com"},
        {"name": "__Secure-a"},
        {"name": "__SECURE-a"},
        {"same_site": "none"},
        {"same_site": "Lax"},
        {"same_site": "lax; Domain=evil"},
        {"path": "x"},
        {"path": ""},
        {"path": "/" + "x" * 1024},
        {"domain": "x" * 1025},
        {"value": "x" * 4096},
        {"expires": datetime(2026, 1, 1)},
        {"expires": datetime(1600, 1, 1, tzinfo=UTC)},
    ],
    ids=lambda slots: repr(slots)[:60],
)
def test_what_a_browser_would_refuse_is_a_value_error(slots: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="cookie"):
        to_set_cookie(**{"name": "a", "value": "1", **slots})


def test_the_longest_cookie_is_written() -> None:
    assert len(to_set_cookie("a", "x" * 4095, path="/" + "x" * 1023)) > 5000


def test_a_secret_value_is_not_in_the_message() -> None:
    with pytest.raises(TypeError) as caught:
        to_set_cookie("session", "s3cret value")
    assert "s3cret" not in str(caught.value)


@given(NAMES, VALUES)
@settings(deadline=None)
def test_what_is_written_reads_back_the_same(name: str, value: str) -> None:
    pair, _, rest = to_set_cookie(name, value).partition("; ")
    assert parse_cookies([pair]) == {name: value}
    assert rest == "Path=/; HttpOnly; SameSite=Lax"
