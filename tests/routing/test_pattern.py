"""The grammar of folder names (http.md 1.1-1.3, 1.5)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.errors import ConfigError
from turnout.routing.pattern import Pattern, Segment, parse_segment


@pytest.mark.parametrize(
    ("folder", "kind", "name"),
    [
        ("posts", "static", "posts"),
        ("rss.xml", "static", "rss.xml"),
        (".well-known", "static", ".well-known"),
        ("a b", "static", "a b"),
        ("été", "static", "été"),
        ("100%", "static", "100%"),
        ("Foo_(bar)", "static", "Foo_(bar)"),
        ("%5Ffolder", "static", "_folder"),
        ("%5bid%5D", "static", "[id]"),
        ("%28group%29", "static", "(group)"),
        ("%2541", "static", "%41"),
        ("%C3%A9", "static", "é"),
        ("a%2Fb", "static", "a/b"),
        ("[id]", "param", "id"),
        ("[post_id]", "param", "post_id"),
        ("[...rest]", "rest", "rest"),
        ("[[...rest]]", "optional_rest", "rest"),
    ],
)
def test_a_folder_name_is_a_segment(folder, kind, name):
    assert parse_segment(folder) == Segment(kind, name)


def test_a_group_has_no_segment():
    assert parse_segment("(marketing)") is None


@pytest.mark.parametrize(
    "folder",
    ["[id", "id]", "pre[id]", "[id]post", "[[id]]", "[[...x]", "[...x]]", "[[[x]]]", "[a][b]", "[", "]", "[a[b]]"],
)
def test_malformed_brackets_are_refused(folder):
    with pytest.raises(ConfigError, match="brackets") as caught:
        parse_segment(folder)
    assert folder in caught.value.message
    assert "[[...x]]" in str(caught.value.cure)


@pytest.mark.parametrize("folder", ["[]", "[...]", "[[...]]", "[1x]", "[post-id]", "[ id ]", "[class]", "[..x]"])
def test_a_slug_must_be_able_to_name_a_parameter(folder):
    with pytest.raises(ConfigError, match="cannot name a parameter") as caught:
        parse_segment(folder)
    assert "identifier" in str(caught.value.cure)


@pytest.mark.parametrize("slug", ["request", "params", "body", "query"])
@pytest.mark.parametrize("shape", ["[{}]", "[...{}]", "[[...{}]]"])
def test_a_slug_may_not_take_the_name_of_another_parameter(slug, shape):
    with pytest.raises(ConfigError, match="another parameter") as caught:
        parse_segment(shape.format(slug))
    assert f"[{slug}_id]" in str(caught.value.cure)


@pytest.mark.parametrize("folder", ["(group", "group)", "()", "(a)(b)", "(a)b", "((a))", "("])
def test_malformed_parentheses_are_refused(folder):
    with pytest.raises(ConfigError, match="parentheses"):
        parse_segment(folder)


@pytest.mark.parametrize("folder", ["%2E%2e", "%2e", "a\\b", "a%5Cb", "a%00b"])
def test_a_name_that_no_request_path_can_hold_is_refused(folder):
    with pytest.raises(ConfigError, match="No request path"):
        parse_segment(folder)


@pytest.mark.parametrize("folder", ["%FF", "a\udcff"])
def test_a_name_that_is_not_utf8_is_refused(folder):
    with pytest.raises(ConfigError, match="UTF-8"):
        parse_segment(folder)


def test_a_slug_has_the_form_that_python_gives_the_parameter():
    assert parse_segment("[ﬁle]") == Segment("param", "file")


def test_a_pattern_is_written_as_its_folders():
    pattern = Pattern.parse("/api/posts/[id]/[[...rest]]")

    assert pattern.text == "/api/posts/[id]/[[...rest]]"
    assert pattern.slugs == ("id", "rest")
    assert Pattern(()).text == "/"


@pytest.mark.parametrize("name", ["(group)", "[id]", "a/b", "%41", "_private", "x)"])
def test_a_static_name_that_looks_like_something_else_is_written_with_escapes(name):
    pattern = Pattern((Segment("static", name),))

    assert Pattern.parse(pattern.text) == pattern


names = st.text(st.characters(exclude_categories=("Cs",)), min_size=1).filter(lambda s: s not in (".", ".."))
segments = st.one_of(
    names.filter(lambda s: "\\" not in s and "\0" not in s).map(lambda s: Segment("static", s)),
    st.sampled_from([Segment("param", "x"), Segment("rest", "y"), Segment("optional_rest", "z")]),
)


@given(st.lists(segments, max_size=4))
@settings(deadline=None)
def test_a_pattern_can_be_read_back_from_its_text(parts):
    pattern = Pattern(tuple(parts))

    assert Pattern.parse(pattern.text) == pattern
