from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout import Headers


def test_names_are_compared_without_case_and_values_are_joined_as_fetch_does() -> None:
    headers = Headers([("Accept", "a"), ("X-One", "1"), ("ACCEPT", "b")])
    assert headers.get("accept") == "a, b"
    assert headers["Accept"] == "a, b"
    assert headers.get_all("accept") == ["a", "b"]
    assert headers.get("absent") is None
    assert headers.get("absent", "x") == "x"
    assert "x-ONE" in headers
    assert 1 not in headers


def test_set_takes_the_place_of_the_first_and_drops_the_others() -> None:
    headers = Headers([("a", "1"), ("b", "2"), ("a", "3")])
    headers.set("A", "4")
    assert list(headers) == [("a", "4"), ("b", "2")]
    headers.delete("B")
    headers["c"] = "5"
    del headers["a"]
    assert headers.items() == [("c", "5")]
    assert len(headers) == 1
    assert headers.keys() == ["c"]


def test_set_cookie_is_never_joined() -> None:
    headers = Headers([("set-cookie", "a=1"), ("set-cookie", "b=2")])
    assert headers.get_set_cookie() == ["a=1", "b=2"]


def test_a_missing_name_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        Headers()["absent"]


@pytest.mark.parametrize("code", [*range(0x20), 0x7F, 0x100])
def test_a_control_character_in_a_value_raises(code: int) -> None:
    if code == 0x09:
        assert Headers([("a", "x\ty")])["a"] == "x\ty"
        return
    with pytest.raises(TypeError, match="invalid value"):
        Headers([("a", f"x{chr(code)}y")])


@pytest.mark.parametrize("code", [code for code in range(0x100) if not (chr(code).isascii() and chr(code).isalnum())])
def test_a_name_is_a_token_or_raises(code: int) -> None:
    if chr(code) in "!#$%&'*+-.^_`|~":
        assert Headers([(f"a{chr(code)}", "1")]).keys() == [f"a{chr(code)}"]
        return
    with pytest.raises(TypeError, match="invalid header name"):
        Headers([(f"a{chr(code)}", "1")])


def test_other_types_raise() -> None:
    with pytest.raises(TypeError, match="needs a str, not int"):
        Headers({"a": 1})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="invalid header name"):
        Headers([(b"a", "1")])  # type: ignore[list-item]


def test_underscore_and_hyphen_are_two_names() -> None:
    headers = Headers([("content_length", "1"), ("content-length", "2")])
    assert headers.get("content-length") == "2"


def test_fields_from_a_door_are_decoded_when_asked_for() -> None:
    headers = Headers.from_raw([(b"Host", b" a "), (b"x", b"\xe9")])
    assert headers.items() == [("host", "a"), ("x", "é")]
    assert headers == Headers([("host", "a"), ("x", "é")])


def test_a_repr_shows_no_value() -> None:
    assert repr(Headers({"authorization": "Bearer s3cret"})) == "Headers(authorization)"


values = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20)
names = st.text("abcXYZ-_0", min_size=1, max_size=8)


@settings(deadline=None)
@given(st.lists(st.tuples(names, values)))
def test_what_goes_in_comes_out(pairs: list[tuple[str, str]]) -> None:
    headers = Headers(pairs)
    assert headers.items() == [(name.lower(), value) for name, value in pairs]
    for name, _ in pairs:
        assert headers.get_all(name) == [value for other, value in pairs if other.lower() == name.lower()]
