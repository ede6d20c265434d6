"""Matching (http.md 2.1, 2.7)."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.routing.pattern import Pattern
from turnout.routing.table import Match, Table


def table(*patterns: str) -> Table[str]:
    routes: Table[str] = Table()
    for pattern in patterns:
        routes.add(Pattern.parse(pattern), pattern)
    routes.freeze()
    return routes


def match(routes: Table[str], path: str) -> tuple[str, dict[str, str | list[str]]] | None:
    found = routes.match([part for part in path.split("/") if part])
    return (found.value, found.params) if found else None


def test_static_wins_over_one_segment_over_rest_over_optional_rest():
    routes = table("/a/b", "/a/[x]", "/a/[...y]", "/[[...z]]")

    assert match(routes, "/a/b") == ("/a/b", {})
    assert match(routes, "/a/c") == ("/a/[x]", {"x": "c"})
    assert match(routes, "/a/b/c") == ("/a/[...y]", {"y": ["b", "c"]})
    assert match(routes, "/a") == ("/[[...z]]", {"z": ["a"]})
    assert match(routes, "/") == ("/[[...z]]", {"z": []})


def test_a_way_that_leads_nowhere_is_given_up_for_the_next():
    routes = table("/users/me/settings", "/users/[id]", "/users/[id]/posts", "/users/[...rest]")

    assert match(routes, "/users/me") == ("/users/[id]", {"id": "me"})
    assert match(routes, "/users/me/posts") == ("/users/[id]/posts", {"id": "me"})
    assert match(routes, "/users/me/other") == ("/users/[...rest]", {"rest": ["me", "other"]})


def test_a_way_given_up_leaves_no_parameters_behind():
    routes = table("/[a]/[b]/[c]/end", "/[a]/[...rest]")

    assert match(routes, "/1/2/3/4") == ("/[a]/[...rest]", {"a": "1", "rest": ["2", "3", "4"]})


def test_an_optional_rest_is_an_empty_list_at_its_root():
    routes = table("/docs/[[...page]]")

    assert match(routes, "/docs") == ("/docs/[[...page]]", {"page": []})
    assert match(routes, "/docs/a/b") == ("/docs/[[...page]]", {"page": ["a", "b"]})


def test_a_rest_needs_at_least_one_segment():
    assert match(table("/docs/[...page]"), "/docs") is None


def test_a_path_that_no_route_has_is_not_found():
    routes = table("/a/[x]/c", "/b")

    for path in ("/", "/a", "/a/1", "/a/1/d", "/a/1/c/d", "/B", "/b/c"):
        assert match(routes, path) is None, path


def test_the_root_may_be_a_route():
    assert match(table("/"), "/") == ("/", {})


@pytest.mark.parametrize("segments", [["a", ""], ["a", "", "b"], [""], ["a", "b", ""]])
def test_no_parameter_is_ever_empty(segments):
    assert table("/a/[x]", "/a/[x]/b", "/a/[...y]", "/[[...z]]").match(segments) is None


def test_an_encoded_slash_stays_inside_a_parameter_and_never_makes_a_static_path():
    routes = table("/a/b", "/[x]")

    found = routes.match(["a/b"])

    assert found is not None
    assert (found.value, found.params) == ("/[x]", {"x": "a/b"})


def test_static_paths_are_kept_in_canonical_form():
    routes = table("/", "/a/b", "/%5Bx%5D/é b", "/a%2Fb", "/a/[x]")

    assert routes.static == {"/": "/", "/a/b": "/a/b", "/%5Bx%5D/%C3%A9%20b": "/%5Bx%5D/é b", "/a%2Fb": "/a%2Fb"}


def test_each_match_has_parameters_of_its_own():
    routes = table("/a", "/[[...x]]")
    segments = ["b"]

    first, second = routes.match(segments), routes.match(segments)

    assert first is not None and second is not None
    assert first.params["x"] is not second.params["x"] and first.params["x"] is not segments


@pytest.mark.parametrize("pattern", ["/a", "/[x]", "/[...x]", "/b/[[...x]]"])
def test_two_values_at_one_place_are_refused(pattern):
    routes: Table[int] = Table()
    routes.add(Pattern.parse(pattern), 1)
    with pytest.raises(ValueError, match="another route"):
        routes.add(Pattern.parse(pattern), 2)


def test_a_catch_all_in_the_middle_is_refused():
    with pytest.raises(ValueError, match="last segment"):
        table("/[...x]/b")


def test_a_frozen_table_takes_no_more_routes():
    with pytest.raises(RuntimeError, match="frozen"):
        table("/a").add(Pattern.parse("/b"), "/b")


class Counting(str):
    """A segment that counts how often it is hashed: the look-ups a match makes."""

    looks = 0

    def __hash__(self) -> int:
        Counting.looks += 1
        return super().__hash__()


def test_the_number_of_routes_does_not_change_the_work_of_a_match():
    def looks(size: int) -> int:
        routes = table(*[f"/s{at}/{end}" for at, end in product(range(size), ("list", "[id]", "[id]/comments"))])
        Counting.looks = 0
        assert routes.match([Counting("s3"), Counting("42"), Counting("comments")]) is not None
        return Counting.looks

    assert looks(1_000) == looks(4) <= 4


KIND_RANK = {"static": 0, "param": 1, "rest": 2, "optional_rest": 3}


def reference(patterns: list[Pattern], segments: list[str]) -> tuple[str, dict[str, str | list[str]]] | None:
    """Every pattern that fits, and the best by the rank of its segments from the left."""
    best = None
    for pattern in patterns:
        params: dict[str, str | list[str]] = {}
        for at, segment in enumerate(pattern.segments):
            least = {"rest": at + 1, "optional_rest": at}.get(segment.kind)
            if least is not None and len(segments) >= least and "" not in segments[at:]:
                params[segment.name] = segments[at:]
            elif len(segments) <= at:
                break
            elif segment.kind == "param" and segments[at]:
                params[segment.name] = segments[at]
            elif segment.kind != "static" or segment.name != segments[at]:
                break
        else:
            open_ended = pattern.segments and pattern.segments[-1].kind in ("rest", "optional_rest")
            if open_ended or len(pattern.segments) == len(segments):
                rank = [KIND_RANK[segment.kind] for segment in pattern.segments]
                if best is None or rank < best[0]:
                    best = (rank, pattern.text, params)
    return best[1:] if best else None


inner = st.sampled_from(["a", "b", "[x]"])
last = st.sampled_from([[], ["[...y]"], ["[[...z]]"]])


@st.composite
def route_sets(draw):
    texts = draw(st.lists(st.tuples(st.lists(inner, max_size=4), last), max_size=12))
    found: dict[str, Pattern] = {}
    for parts, end in texts:
        # One name for each depth, so that a slug never comes twice in a path.
        named = [part.replace("x", f"x{at}") for at, part in enumerate(parts)] + end
        pattern = Pattern.parse("/" + "/".join(named))
        found.setdefault(pattern.text, pattern)
    return list(found.values())


@given(route_sets(), st.lists(st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=5), min_size=1, max_size=8))
@settings(deadline=None, max_examples=300)
def test_a_match_is_what_trying_every_route_finds(patterns, paths):
    routes: Table[str] = Table()
    for pattern in patterns:
        routes.add(pattern, pattern.text)
    for segments in paths:
        found = routes.match(segments)
        assert (found and (found.value, found.params)) == reference(patterns, segments), segments


@given(
    route_sets(), st.lists(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=5), min_size=1, max_size=8)
)
@settings(deadline=None, max_examples=300)
def test_a_path_without_escapes_finds_the_same_the_short_way(patterns, paths):
    routes: Table[str] = Table()
    for pattern in patterns:
        routes.add(pattern, pattern.text)
    routes.freeze()
    for segments in paths:
        plain = "/" + "/".join(segments)
        found = routes.match_last(plain)
        if found is not None and plain not in routes.static:
            assert Match(*found) == routes.match(segments), plain


def test_an_optional_rest_below_a_static_neighbour_keeps_its_own_root():
    routes = table("/posts/[id]", "/posts/drafts/[[...rest]]")
    routes.freeze()
    assert routes.match_last("/posts/drafts") is None
    assert routes.match(["posts", "1"]).params == {"id": "1"}


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("/posts/1", "1"), ("/posts/a-b_c.d", "a-b_c.d"), ("/posts/@me", "@me"),
        ("/posts/", None), ("/posts/..", None), ("/posts/.x", None), ("/posts/%41", None), ("/posts/a\\", None),
        ("/posts/\u0663", None), ("/posts/a%2Fb", None), ("//1", None), ("/posts//1", None), ("/x/../posts/1", None),
        ("posts/1", None), ("1", None), ("*", None), ("", None),
    ],
)  # fmt: skip
def test_the_short_way_finds_only_what_is_canonical_as_it_stands(raw, value):
    routes = table("/posts/[id]", "/[top]")
    routes.freeze()
    found = routes.match_last(raw)
    assert found == (None if value is None else (routes.match(["posts", value]).value, {"id": value}))
