"""URL and URLSearchParams: the standard's behaviour, the request's shortcut, and the limits."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.errors import BadRequest
from turnout.http.url import URL, URLSearchParams, flat_fields, parse_fields

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
PAIRS = st.lists(st.tuples(TEXT, TEXT), max_size=20)


def test_a_query_is_read_in_order_with_plus_as_space() -> None:
    params = URLSearchParams("?a=1&b=x+y&a=%C3%A9&flag&=empty&&c=a=b")

    assert list(params) == [("a", "1"), ("b", "x y"), ("a", "é"), ("flag", ""), ("", "empty"), ("c", "a=b")]
    assert params.size == len(params) == 6
    assert (params.get("a"), params.get_all("a"), params.get("none"), params.get("none", "2")) == (
        "1",
        ["1", "é"],
        None,
        "2",
    )


def test_only_the_ampersand_separates() -> None:
    assert list(URLSearchParams("a=1;b=2")) == [("a", "1;b=2")]


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        ("a=%FF", [("a", "�")]),
        ("a=%C3%28", [("a", "�(")]),
        ("a=%E2%82", [("a", "�")]),
        ("a=%F0%9F%92é", [("a", "�é")]),
        ("a=%zz%4", [("a", "%zz%4")]),
        ("%61+%2B=%26%3D", [("a +", "&=")]),
        ("a=\ud800", [("a", "�")]),
        ("a=%EF%BB%BFx", [("a", "\ufeffx")]),
    ],
)
def test_bytes_that_are_not_utf8_become_replacement_characters(query: str, pairs: list[tuple[str, str]]) -> None:
    assert list(URLSearchParams(query)) == pairs


def test_params_are_made_from_mappings_and_pairs() -> None:
    assert str(URLSearchParams({"page": 2, "all": True, "ratio": 0.5})) == "page=2&all=true&ratio=0.5"
    assert str(URLSearchParams([("a", "1"), ("a", "ä &")])) == "a=1&a=%C3%A4+%26"
    assert URLSearchParams(URLSearchParams("a=1")) == URLSearchParams("a=1")
    assert str(URLSearchParams()) == ""
    assert str(URLSearchParams({"~*-._": "'\ud83d"})) == "%7E*-._=%27%EF%BF%BD"


@pytest.mark.parametrize("init", [["ab"], [("a",)], [("a", "b", "c")], {"a": None}, [("a", [1])], {b"a": "b"}])
def test_params_from_anything_else_raise(init: Any) -> None:
    with pytest.raises(TypeError):
        URLSearchParams(init)


def test_set_replaces_the_first_and_drops_the_rest() -> None:
    params = URLSearchParams("a=1&b=2&a=3")
    params.set("a", "9")
    params.set("new", "x")
    assert str(params) == "a=9&b=2&new=x"


def test_delete_and_has_take_a_value_too() -> None:
    params = URLSearchParams("a=1&a=2&a=1&b=1")
    assert params.has("a", "2")
    assert not params.has("a", "3")
    params.delete("a", "1")
    assert str(params) == "a=2&b=1"
    params.delete("a")
    assert "a" not in params
    assert "b" in params
    assert [list(params.keys()), list(params.values()), list(params.items())] == [["b"], ["1"], [("b", "1")]]


def test_sort_is_stable_and_by_utf16_code_units() -> None:
    params = URLSearchParams("z=b&ﬃ=1&🌈=2&z=a&a=0")
    params.sort()
    assert [name for name, _ in params] == ["a", "z", "z", "🌈", "ﬃ"]  # by code point the rainbow would be last
    assert params.get_all("z") == ["b", "a"]


@given(PAIRS)
@settings(deadline=None)
def test_params_survive_a_round_trip(pairs: list[tuple[str, str]]) -> None:
    assert list(URLSearchParams(str(URLSearchParams(pairs)))) == pairs


@given(PAIRS)
@settings(deadline=None)
def test_another_reader_and_writer_agree(pairs: list[tuple[str, str]]) -> None:
    assert parse_qsl(str(URLSearchParams(pairs)), keep_blank_values=True) == pairs
    assert list(URLSearchParams(urlencode(pairs))) == pairs


@pytest.mark.parametrize(("fields", "refused"), [(999, False), (1000, False), (1001, True)])
@pytest.mark.parametrize("separator", ["&", "&&&"])
def test_a_request_has_at_most_1000_fields(fields: int, refused: bool, separator: str) -> None:
    query = separator + separator.join(["a=1"] * fields) + separator
    if refused:
        with pytest.raises(BadRequest, match="1000 fields"):
            URLSearchParams.from_query(query)
    else:
        assert URLSearchParams.from_query(query).size == fields


def test_a_megabyte_of_ampersands_costs_no_list() -> None:
    query = "&" * 1_000_000
    tracemalloc.start()
    assert URLSearchParams.from_query(query).size == 0
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_500_000


@given(st.text(alphabet="ab=&%+2é ", max_size=20) | st.text(max_size=600))
@settings(deadline=None)
def test_the_short_way_reads_a_query_as_the_long_one_or_not_at_all(query: str) -> None:
    flat = flat_fields(query, 1000)
    pairs = parse_fields(query, 1000)
    assert flat is None or (flat == dict(pairs) and list(flat) == [name for name, _ in pairs])


def test_a_request_url_reads_like_a_parsed_one() -> None:
    ours = URL.from_parts("https", "Example.com:443", "/a%20b", "q=1&x=<'\">&e=%41")
    parsed = URL(ours.href)
    for part in ("href", "origin", "protocol", "host", "hostname", "port", "pathname", "search", "hash", "username"):
        assert getattr(ours, part) == getattr(parsed, part), part
    assert ours == parsed
    assert ours.href == "https://example.com/a%20b?q=1&x=%3C%27%22%3E&e=%41"
    assert list(ours.search_params) == list(parsed.search_params)


@pytest.mark.parametrize(
    ("scheme", "host", "expected"),
    [
        ("http", "a:80", ("a", "a", "")),
        ("http", "a:8000", ("a:8000", "a", "8000")),
        ("https", "a:80", ("a:80", "a", "80")),
        ("http", "[::1]", ("[::1]", "[::1]", "")),
        ("http", "[::1]:8000", ("[::1]:8000", "[::1]", "8000")),
        ("http", "a", ("a", "a", "")),
    ],
)
def test_a_request_url_splits_host_and_port(scheme: str, host: str, expected: tuple[str, str, str]) -> None:
    url = URL.from_parts(scheme, host, "/", "")
    assert (url.host, url.hostname, url.port) == expected
    assert url.href == f"{scheme}://{expected[0]}/"


def test_reading_a_request_url_loads_no_binding() -> None:
    code = (
        "import sys; from turnout.http.url import URL; u = URL.from_parts('http', 'localhost:8000', '/a', 'b=1')\n"
        "u.search_params.set('c', '2'); assert str(u) == 'http://localhost:8000/a?b=1&c=2', str(u)\n"
        "u.origin, u.port, u.hash, u.password; assert 'ada_url' not in sys.modules\n"
        "u.pathname = '/x y'; assert u.href == 'http://localhost:8000/x%20y?b=1&c=2'; assert 'ada_url' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_request_url_limits_its_fields() -> None:
    with pytest.raises(BadRequest):
        _ = URL.from_parts("http", "localhost", "/", "&".join(["a"] * 1001)).search_params


@pytest.mark.parametrize("make", [URL, lambda href: URL.from_parts("http", "h", "/p", "a=1")])
def test_search_params_are_live_both_ways(make: Any) -> None:
    url = make("http://h/p?a=1")
    params = url.search_params

    params.append("b", "x y")
    assert url.search == "?a=1&b=x+y"
    url.search = "c=3"
    assert list(params) == [("c", "3")]
    params.sort()
    params.delete("c")
    assert url.href == "http://h/p"
    url.href = "http://other/?d=4"
    assert params.get("d") == "4"
    assert url.search_params is params


def test_every_part_can_be_set() -> None:
    url = URL("http://h/")
    url.protocol, url.username, url.password = "https", "me", "p w"
    url.hostname, url.port = "example.org", "8080"
    url.pathname, url.search, url.hash = "a b", "x=1", "top"
    assert url.href == "https://me:p%20w@example.org:8080/a%20b?x=1#top"
    url.host = "[::1]:9"
    assert (url.hostname, url.port, url.origin) == ("[::1]", "9", "https://[::1]:9")
    assert repr(url).startswith("URL('https://")


def test_a_part_that_cannot_be_set_stays_and_a_bad_href_raises() -> None:
    url = URL("https://example.com:8080/")
    url.port, url.protocol, url.host = "zz", "not a scheme", "a b"
    with pytest.raises(TypeError, match="not a valid URL"):
        url.href = "nonsense"
    assert url.href == "https://example.com:8080/"


def test_a_relative_url_needs_a_base() -> None:
    assert URL("../b?c=1", URL("https://example.com/x/a")).href == "https://example.com/b?c=1"
    with pytest.raises(TypeError, match="relative to"):
        URL("https://", "https://example.com")
    assert not URL.can_parse("/x")
    assert URL.can_parse("/x", "http://h")


def test_urls_compare_by_href_and_cannot_be_hashed() -> None:
    assert URL("http://H:80") == URL("http://h/")
    assert URL("http://h/a") != URL("http://h/b")
    with pytest.raises(TypeError):
        hash(URL("http://h/"))


def test_the_binding_missing_is_a_config_error_with_the_cure() -> None:
    code = (
        "import sys; sys.modules['ada_url'] = None\n"
        "from turnout.http.url import URL; from turnout.errors import ConfigError\n"
        "try: URL('http://h/')\n"
        "except ConfigError as exc: assert 'turnout[url]' in str(exc)\n"
        "else: raise SystemExit(1)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
