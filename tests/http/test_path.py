from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout import BadRequest
from turnout.http.path import join, segments


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/", []),
        ("/a/b", ["a", "b"]),
        ("/a/", ["a", ""]),
        ("//a", ["", "a"]),
        ("/a%2Fb", ["a/b"]),
        ("/a%252Fb", ["a%2Fb"]),
        ("/%25", ["%"]),
        ("/%C3%A9", ["é"]),
        ("/.well-known/x", [".well-known", "x"]),
        ("/a..b", ["a..b"]),
        ("/...", ["..."]),
        ("/a;v=1", ["a;v=1"]),
        ("/+", ["+"]),
    ],
)
def test_each_segment_is_decoded_once(path: str, found: list[str]) -> None:
    assert segments(path) == found


@pytest.mark.parametrize(
    "path",
    [
        "/.",
        "/..",
        "/a/../b",
        "/%2e",
        "/%2E%2e",
        "/.%2e/x",
        "/a\\b",
        "/%5c",
        "/%00",
        "/%ff",
        "/%C3",
        "/%",
        "/%g1",
        "/%1",
    ],
)
def test_what_has_no_canonical_form_is_400(path: str) -> None:
    with pytest.raises(BadRequest):
        segments(path)


@settings(deadline=None)
@given(
    st.lists(
        st.text(st.characters(exclude_characters="\\\x00", exclude_categories=["Cs"]), min_size=1).filter(
            lambda part: part not in (".", "..")
        )
    )
)
def test_a_joined_path_splits_into_the_same_segments(parts: list[str]) -> None:
    assert segments(join(parts)) == parts
    assert join(segments(join(parts))) == join(parts)


def test_a_canonical_path_never_names_another_host() -> None:
    assert join(["/evil.com", "x"]) == "/%2Fevil.com/x"
