"""The documentation of the version that is installed: pages of Markdown, for people and for coding agents.

In a wheel the pages lie beside this file; in a checkout they are those of ``docs/``. Nothing is fetched.
``python -m turnout.docs --path`` prints where they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from ..errors import ConfigError

KINDS = ("how-to", "reference", "explanation")
SUMMARY = "Turnout serves a folder of files as an API: a folder is a URL, a function in its route.py is a method."
_INSTALLED = Path(__file__).parent
_heading = re.compile(r"^#{1,3} +(.+?)\s*$", re.MULTILINE)
_word = re.compile(r"[a-z0-9_]+")
_STOP = frozenset(("a", "an", "and", "the", "to", "of", "in", "for", "how", "do", "i", "is", "with", "on", "my", "it"))


class Page(Struct, frozen=True):
    """One page.

    Attributes:
        path: Relative to the folder of the pages: ``how-to/send-mail.md``.
    """

    path: str
    title: str
    text: str


class Found(Struct, frozen=True):
    """A section of a page that has to do with a question.

    Attributes:
        place: Where the page is on this machine.
        heading: The section's.
    """

    path: str
    place: str
    heading: str
    score: float
    excerpt: str


def folder() -> Path:
    """Where the pages are.

    Raises:
        ConfigError: this installation has none.
    """
    for place in (_INSTALLED, _INSTALLED.parents[2] / "docs"):
        if (place / "index.md").is_file():
            return place
    raise ConfigError(
        "this installation of Turnout has no documentation", cure="install the wheel: pip install turnout"
    )


def pages() -> list[Page]:
    """Every page: the index, the tutorial, then by kind and name."""
    root = folder()
    files = sorted(root.rglob("*.md"), key=lambda file: (len(file.relative_to(root).parts), file.relative_to(root)))
    return [_read(root, file) for file in files]


def _read(root: Path, file: Path) -> Page:
    text = file.read_text(encoding="utf-8")
    title = _heading.search(text)
    return Page(file.relative_to(root).as_posix(), title[1] if title else file.stem, text)


def search(query: str, most: int = 5) -> list[Found]:
    """The sections that have most to do with *query*, by its words; headings and names of pages count more."""
    words = [word for word in dict.fromkeys(_word.findall(query.lower()[:500])) if word not in _STOP]
    if not words:
        return []
    root = folder()
    found = []
    for page in pages():
        for heading, text in sections(page.text):
            score = _score(words, f"{page.path} {page.title} {heading}".lower(), text.lower())
            if score > 0:
                found.append(Found(page.path, str(root / page.path), heading, round(score, 2), text.strip()[:1_200]))
    return sorted(found, key=lambda each: (-each.score, each.path))[:most]


def _score(words: list[str], names: str, text: str) -> float:
    score = 0.0
    for word in words:
        stem = word[:-1] if len(word) > 3 and word.endswith("s") else word
        times = text.count(stem)
        score += 4 * (stem in names) + min(times, 4) / (1 + len(text) / 4_000)
        score += 1 if times or stem in names else -2
    return score


def sections(text: str) -> Iterator[tuple[str, str]]:
    """The headings of a page with what stands below each; a ``#`` in a block of code is none."""
    heading, lines, fenced = "", list[str](), False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        found = None if fenced else _heading.match(line)
        if found is None:
            lines.append(line)
            continue
        if heading:
            yield heading, "\n".join(lines)
        heading, lines = found[1], []
    if heading:
        yield heading, "\n".join(lines)


def llms() -> str:
    """``llms.txt``: what there is, one line a page (https://llmstxt.org)."""
    lines = ["# Turnout", "", f"> {SUMMARY}", ""]
    for title, kind in (("Start", ""), ("For models", "ai"), *((kind.capitalize(), kind) for kind in KINDS)):
        lines += [f"## {title}", ""]
        lines += [f"- [{each.title}]({each.path}){_about(each)}" for each in pages() if _kind(each) == kind]
        lines.append("")
    return "\n".join(lines)


def llms_full() -> str:
    """``llms-full.txt``: every page, one after the other."""
    return "\n".join([f"# Turnout\n\n> {SUMMARY}\n", *(f"<!-- {each.path} -->\n\n{each.text}" for each in pages())])


def _kind(page: Page) -> str:
    return page.path.rpartition("/")[0]


def _about(page: Page) -> str:
    """The first sentence of a page, on one line."""
    for _, text in sections(page.text):
        for block in text.split("\n\n"):
            plain = " ".join(block.split())
            if plain and plain[0] not in "`|-#<>1*":
                sentence = re.split(r"(?<=[.!?:]) ", plain)[0]
                return ": " + re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", sentence).rstrip(".:")
        return ""
    return ""
