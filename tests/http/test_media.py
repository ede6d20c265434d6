"""Media types and Accept, by the grammar and the examples of RFC 9110."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.http.media import MediaType, is_json, negotiate, parse_media_type


@pytest.mark.parametrize(
    ("value", "media"),
    [
        ("text/html", ("text", "html", {})),
        ("Text/HTML;Charset=UTF-8", ("text", "html", {"charset": "UTF-8"})),
        ('text/html ; \tcharset="utf-8" ', ("text", "html", {"charset": "utf-8"})),
        ("application/json;", ("application", "json", {})),
        ("application/json; ;a=1;;", ("application", "json", {"a": "1"})),
        (r'multipart/form-data; boundary="a;b, \"c\\"', ("multipart", "form-data", {"boundary": 'a;b, "c\\'})),
        ('a/b; x=""', ("a", "b", {"x": ""})),
        ("a/b; x=1; X=2", ("a", "b", {"x": "1"})),
        ("application/vnd.api+json", ("application", "vnd.api+json", {})),
    ],
)
def test_a_media_type_is_read(value: str, media: tuple[str, str, dict[str, str]]) -> None:
    assert parse_media_type(value) == MediaType(*media)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        " ",
        "text",
        "/",
        "text/",
        "/html",
        "text /html",
        "text/html, text/plain",
        "text/html charset=utf-8",
        "text/html; charset",
        "text/html; charset = utf-8",
        'text/html; charset="utf-8',
        'text/html; charset="utf-8"x',
        "text/html; charset=",
        'a/b; x="\x01"',
        "a/b\n",
        'a/b; x="\n"',
        "é/b",
    ],
)
def test_what_breaks_the_grammar_is_none(value: str | None) -> None:
    assert parse_media_type(value) is None
    assert not is_json(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("application/json", True),
        ("APPLICATION/JSON; charset=utf-8", True),
        ("application/problem+json", True),
        ("image/svg+xml", False),
        ("text/plain", False),
        ("text/plain; application/json", False),
        ("text/json", False),
        ("application/jsonp", False),
        ("application/x-www-form-urlencoded", False),
        ("application/json, text/plain", False),
    ],
)
def test_json_is_told_by_its_type(value: str, expected: bool) -> None:
    assert is_json(value) is expected


OFFERS = ("application/json", "text/html", "text/plain")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/html", "text/html"),
        ("text/*", "text/html"),
        ("text/plain, */*;q=0.5", "text/plain"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
        ("application/json;q=0, */*", "text/html"),
        ("text/*;q=0.9, text/html;q=0.1, */*;q=0", "text/plain"),
        ("image/png", None),
        ("*/*;q=0", None),
        ("TEXT/HTML;Q=1.000", "text/html"),
        ("text/html;q=0.5;level=1", None),
        ("text/html;q=1.5, text/plain", "text/plain"),
        ("text/html;q=0.1234, text/plain", "text/plain"),
        (", ,text/plain,", "text/plain"),
        ("nonsense, text/plain;q=0.1", "text/plain"),
        ("nonsense", "application/json"),
        ('a/b;x="1, text/html", text/plain', "text/plain"),
        ("*/html, text/plain", "text/plain"),
    ],
)
def test_the_best_offer_is_chosen(accept: str | None, chosen: str | None) -> None:
    assert negotiate(accept, OFFERS) == chosen


@pytest.mark.parametrize(
    ("offer", "weight"),
    [
        ("text/plain;format=flowed", 1.0),
        ("text/plain", 0.7),
        ("text/html", 0.3),
        ("image/jpeg", 0.5),
        ("text/plain;format=fixed", 0.4),
        ("text/html;level=3", 0.3),
    ],
)
def test_the_example_of_the_rfc(offer: str, weight: float) -> None:
    accept = "text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, text/plain;format=fixed;q=0.4, */*;q=0.5"
    # A rival whose weight is known shows on which side of it the offer lies.
    for rival in (0.001, 0.2, 0.35, 0.45, 0.6, 0.8, 0.999):
        chosen = negotiate(f"{accept}, x/rival;q={rival}", ["x/rival", offer])
        assert chosen == (offer if weight > rival else "x/rival"), rival


def test_no_offer_is_no_choice_and_a_bad_one_is_our_mistake() -> None:
    assert negotiate("*/*", []) is None
    with pytest.raises(ValueError, match="not a media type"):
        negotiate("*/*", ["html"])


@given(st.text(), st.text('text/html;q=0.5, "\\*'))
@settings(deadline=None)
def test_reading_never_fails(value: str, alike: str) -> None:
    for text in (value, alike):
        parse_media_type(text)
        assert negotiate(text, OFFERS) in (*OFFERS, None)


TOKEN = st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1)


@given(TOKEN, TOKEN, st.dictionaries(TOKEN.map(str.lower), st.text([chr(b) for b in range(32, 127)])))
@settings(deadline=None)
def test_quoted_parameters_survive_a_round_trip(kind: str, subtype: str, params: dict[str, str]) -> None:
    written = f"{kind}/{subtype}"
    for name, value in params.items():
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        written += f'; {name}="{escaped}"'
    assert parse_media_type(written) == (kind.lower(), subtype.lower(), params)
