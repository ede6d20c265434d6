r"""The form in which a model answers: whole files as fenced text below ``=== path`` lines.

::

    === contract
    POST /api/notes  auth=user  201 401 422
    === app/api/notes/route.py
    ```python
    ...
    ```

A fence may be longer than three ticks and is closed only by its own length at the margin, so a
file may hold shorter ones. ``=== env`` and ``=== needs`` name variables and packages, ``=== delete
path`` removes a file; what stands before the first block is the summary. The parser forgives what
costs nothing to understand and guesses nothing else; it looks at each line once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct, field

from .changeset import ChangeSet, FileChange, RouteClaim, sha256
from .view import ProjectView

LARGEST = 1_048_576
CODES = {"TRN190": "An answer has no files in the form that was asked for, or ends in the middle of one"}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

_HEAD = re.compile(r"^[#*\s]{0,8}={3,8}[ \t]+(\S(?:[^\n]{0,298}\S)?)[ \t]*$")
_TAIL = re.compile(r"[.:!][ \t]{1,4}={3} (contract|env|needs)[ \t]{0,4}$")  # a head that was put behind a sentence
_FENCE = re.compile(r"^(`{3,32}|~{3,32})[ \t]*([\w+.-]{0,32})[^`\n]{0,200}$")
_PATH_COMMENT = re.compile(r"^(?:#|--|<!--)[ \t]*([\w\[\]().-]+(?:/[\w\[\]().-]+)+\.\w{1,8})[ \t]*(?:-->)?[ \t]*$")
_CLAIM = re.compile(r"^[-*\s]{0,4}`?([A-Za-z]{3,7})[ \t]+(/[^\s`]{0,200})`?(.{0,300})$")
_HOLE = re.compile(r"\{(\w{1,64})\}|<(?:\w{1,64}:)?(\w{1,64})>|(?<=/):(\w{1,64})")  # other spellings of [id]
_AUTH = re.compile(r"\bauth[ \t]{0,2}[=:][ \t]{0,2}[\"']?([\w-]{1,40})")
_STATUS = re.compile(r"(?<![\w=.])([1-5]\d\d)(?!\w)")
_NAME = re.compile(r"[A-Za-z][\w.\[\],-]{0,99}")
_NONE = frozenset(("none", "nothing", "no", "n", "empty"))


class Answer(Struct):
    """What a model said.

    Attributes:
        files: Path to text; None removes the file.
        problems: Why a part of it could not be used; the model is told.
    """

    summary: str = ""
    contract: list[RouteClaim] = field(default_factory=list)
    files: dict[str, str | None] = field(default_factory=dict)
    env: list[str] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def parse(text: str) -> Answer:
    """Read an answer; whatever it is, this returns."""
    answer = Answer()
    if len(text) > LARGEST:
        answer.problems.append(f"the answer is over {LARGEST} characters long; answer with the files alone")
        text = text[:LARGEST]
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    prose: list[str] = []
    for name, body, closed in _blocks(lines, prose):
        _take(answer, name, body, closed)
    answer.summary = " ".join(" ".join(prose).split())[:500]
    if not answer.files and not answer.problems:
        answer.problems.append(
            "the answer has no file; write a line `=== path`, then the whole file between two fences of three ticks"
        )
    return answer


def _blocks(lines: list[str], prose: list[str]) -> Iterator[tuple[str, list[str], bool]]:
    """Each block's name and lines, and whether its fence was closed."""
    at, end = 0, len(lines)
    while at < end:
        line = lines[at]
        at += 1
        if (name := _name_of(line)) is not None:
            while at < end and not lines[at].strip():
                at += 1
            if at < end and (fence := _opening(lines[at])):
                body, at, closed = _fenced(lines, at + 1, fence)
            else:
                body, at = _plain(lines, at)
                closed = True
            yield name, body, closed
        elif (fence := _opening(line)) and at < end and (path := _PATH_COMMENT.match(lines[at])):
            body, at, closed = _fenced(lines, at, fence)  # a file whose first line is its path, and no head
            yield path[1], body, closed
        elif not fence and len(prose) < 20:
            prose.append(line)


def _name_of(line: str) -> str | None:
    found = _HEAD.match(line) or _TAIL.search(line, max(0, len(line) - 40))
    if found is None:
        return None
    return found[1].rstrip("=* \t").strip("`\"'* \t") or None


def _opening(line: str) -> str | None:
    found = _FENCE.match(line)
    return found[1] if found else None


def _fenced(lines: list[str], at: int, fence: str) -> tuple[list[str], int, bool]:
    body: list[str] = []
    while at < len(lines):
        if lines[at].rstrip() == fence:
            return body, at + 1, True
        body.append(lines[at])
        at += 1
    return body, at, False


def _plain(lines: list[str], at: int) -> tuple[list[str], int]:
    body: list[str] = []
    while at < len(lines) and _name_of(lines[at]) is None and not _opening(lines[at]):
        body.append(lines[at])
        at += 1
    return body, at


def _take(answer: Answer, name: str, body: list[str], closed: bool) -> None:
    word = name.casefold()
    if word == "contract":
        answer.contract.extend(filter(None, map(_claim, body)))
    elif word == "env":
        answer.env.extend(_names(body))
    elif word in ("needs", "packages"):
        answer.needs.extend(_names(body))
    elif word in ("summary", "notes", "note"):
        pass
    elif word.startswith("delete "):
        answer.files[name[7:].strip("`\"' ")] = None
    elif not closed:
        answer.problems.append(f"{name[:200]}: the answer ends before its fence is closed; write shorter files")
    elif not "".join(body).strip():
        answer.problems.append(f"{name[:200]}: no text follows the line `=== {name[:200]}`")
    else:
        answer.files[name] = "\n".join(body).strip("\n") + "\n"


def _claim(line: str) -> RouteClaim | None:
    found = _CLAIM.match(line)
    if found is None or found[1].upper() not in METHODS:
        return None
    auth = _AUTH.search(found[3])
    word = auth[1] if auth else None
    statuses = [int(each) for each in _STATUS.findall(found[3])]
    path = _HOLE.sub(lambda hole: f"[{hole[1] or hole[2] or hole[3]}]", found[2])
    return RouteClaim(found[1].upper(), path, None if word in (None, "none", "None") else word, statuses)


def _names(body: list[str]) -> list[str]:
    found = []
    for line in body:
        first = _NAME.match(line.lstrip("-*` \t"))
        if first and first[0].casefold() not in _NONE:
            found.append(first[0].rstrip(".,"))
    return found


def to_changeset(answer: Answer, view: ProjectView, *, before: ChangeSet | None = None) -> ChangeSet:
    """*answer* as a ChangeSet on the project of *view*.

    Args:
        before: The proposal that this one repairs; its files stay where the answer has none of
            that name, and so do its claims if the answer makes none.
    """
    files = {file.path: file.text for file in before.files} if before else {}
    files |= answer.files
    changes = []
    for path, text in files.items():
        now = view.read(path)
        if text is not None or view.exists(path):  # what is private is there too, and refused by its path
            changes.append(FileChange(path, None if now is None else sha256(now), text))
    old = before or ChangeSet("")
    return ChangeSet(
        answer.summary or old.summary,
        answer.contract or old.contract,
        changes,
        list(dict.fromkeys([*old.env, *answer.env])),
        list(dict.fromkeys([*old.needs, *answer.needs])),
    )
