"""ai/protocol.py: an answer as files, forgiving where it costs nothing, and never a crash."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.ai.changeset import ChangeSet, FileChange, RouteClaim, sha256
from turnout.ai.protocol import parse, to_changeset
from turnout.ai.view import ProjectView

ROUTE = "app/api/notes/route.py"
GOOD = f"""Adds notes.

=== contract
POST /api/notes  auth=user  201 401 422
GET /api/notes/[id]  200 404
=== {ROUTE}
```python
x = 1
```
=== env
NOTES_KEY
=== needs
- httpx
"""


def test_an_answer_as_it_should_be():
    answer = parse(GOOD)

    assert answer.summary == "Adds notes."
    assert answer.contract == [
        RouteClaim("POST", "/api/notes", "user", [201, 401, 422]),
        RouteClaim("GET", "/api/notes/[id]", None, [200, 404]),
    ]
    assert answer.files == {ROUTE: "x = 1\n"}
    assert (answer.env, answer.needs, answer.problems) == (["NOTES_KEY"], ["httpx"], [])


@pytest.mark.parametrize(
    "text",
    [
        f"=== {ROUTE}\n```\nx = 1\n```",
        f"=== `{ROUTE}`\n\n```python\nx = 1\n```\n",
        f"=== {ROUTE} ===\n~~~~py\nx = 1\n~~~~\n",
        f"## === {ROUTE}\n```python\nx = 1\n```\nHope that helps!",
        f"=== {ROUTE}\nx = 1\n",
        f"```\n=== {ROUTE}\n```python\nx = 1\n```\n```\n",
        f"=== {ROUTE}\r\n```python\r\nx = 1\r\n```\r\n",
        f"=== env\nnone\n=== {ROUTE}\n```python\nx = 1\n```",
    ],
)
def test_slips_of_form_cost_nothing(text):
    answer = parse(text)

    assert (answer.files, answer.problems, answer.env) == ({ROUTE: "x = 1\n"}, [], [])


def test_a_head_behind_a_sentence_is_a_head():
    answer = parse(f"Says hello. === contract\nGET /api/hello  200\n=== {ROUTE}\n```\nx = 1\n```\n")

    assert answer.contract == [RouteClaim("GET", "/api/hello", None, [200])] and answer.files == {ROUTE: "x = 1\n"}


def test_a_fence_with_a_path_in_its_first_line_is_a_file():
    assert parse(f"Here:\n```python\n# {ROUTE}\nx = 1\n```\n").files == {ROUTE: f"# {ROUTE}\nx = 1\n"}


def test_a_longer_fence_holds_shorter_ones():
    text = f"=== {ROUTE}\n````python\n'''\n```\n=== inside\n```\n'''\n  ````\n````\n"

    assert parse(text).files == {ROUTE: "'''\n```\n=== inside\n```\n'''\n  ````\n"}


@pytest.mark.parametrize("path", ["/api/notes/{id}", "/api/notes/:id", "/api/notes/<id>", "/api/notes/<int:id>"])
def test_other_spellings_of_a_parameter_are_understood(path):
    assert parse(f"=== contract\nGET {path} 200\n").contract == [RouteClaim("GET", "/api/notes/[id]", None, [200])]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no file"),
        ("I cannot do that.", "has no file"),
        (f"=== {ROUTE}\n```python\nx = 1\n", "before its fence is closed"),
        (f"=== {ROUTE}\n```python\n```\n", "no text follows"),
        ("x" * 2_000_000, "characters long"),
    ],
)
def test_what_cannot_be_used_is_said(text, said):
    answer = parse(text)

    assert not answer.files and said in answer.problems[0]


PIECES = [
    "=== ",
    "===",
    "```",
    "````",
    "~~~",
    "contract",
    "env",
    ROUTE,
    "\n",
    "\r",
    " ",
    "`",
    "#",
    "\0",
    "é",
    "GET /x 200",
]


@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES)).map("".join)))
@settings(deadline=None, max_examples=500)
def test_whatever_comes_is_read(text):
    answer = parse(text)

    assert answer.files or answer.problems
    assert all(body is None or body.strip() for body in answer.files.values())


@given(
    st.dictionaries(st.from_regex(r"lib/[a-z]{1,9}\.py", fullmatch=True), st.text(max_size=200), min_size=1, max_size=4)
)
@settings(deadline=None, max_examples=200)
def test_any_file_comes_through_a_fence_that_is_long_enough(files):
    files = {path: text.replace("\r", "").strip("\n") + "\n" for path, text in files.items() if text.strip()}
    text = "".join(f"=== {path}\n{'`' * 31}\n{body}{'`' * 31}\n" for path, body in files.items())

    assert parse(text).files == files


@pytest.mark.parametrize(
    "text", ["=== \n" * 200_000, "```\n" * 200_000, "=== a\n```\n" * 80_000, "`" * 10**6, "= " * 500_000, "\n" * 10**6]
)
def test_a_long_answer_of_nonsense_is_read_in_one_pass(text):
    parse(text)  # a parser that is not linear does not come to an end here


def test_a_repair_keeps_what_it_does_not_name(tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/a.py").write_text("old\n")
    before = ChangeSet("Adds.", [RouteClaim("GET", "/x")], [FileChange("lib/b.py", None, "b\n")], ["ONE"])

    change = to_changeset(parse("=== lib/a.py\n```\nnew\n```\n"), ProjectView(tmp_path), before=before)

    assert change.files == [FileChange("lib/b.py", None, "b\n"), FileChange("lib/a.py", sha256("old\n"), "new\n")]
    assert (change.summary, change.contract, change.env) == ("Adds.", before.contract, ["ONE"])


def test_a_file_can_be_removed_and_one_that_is_not_there_is_not(tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/a.py").write_text("old\n")

    change = to_changeset(parse("=== delete lib/a.py\n=== delete lib/none.py\n"), ProjectView(tmp_path))

    assert change.files == [FileChange("lib/a.py", sha256("old\n"), None)]
