"""HTML to the plain text that stands beside it in a message: for readers without HTML, and for filters.

Made for what templates of mail hold: headings, paragraphs, lists, tables, links and pictures. Scripts,
styles and comments are left out. It is no sanitiser: its result is text and never put into a page.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

_APART = {"blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "ol", "p", "pre", "table", "ul"}  # empty line around
_BLOCKS = _APART | {
    "address", "article", "aside", "body", "div", "dl", "dt", "dd", "figure", "footer", "form", "header", "li", "main",
    "nav", "section", "tr",
}  # fmt: skip
_HIDDEN = {"script", "style", "title", "template"}


def to_text(html: str) -> str:
    """The words of *html*, a link followed by its address."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = [line.rstrip() for line in "".join(reader.out).split("\n")]
    return re.sub("\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.out: list[str] = []
        self.hidden = self.as_is = 0
        self.links: list[tuple[str, int]] = []  # where each open link leads, and how much was said before it

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN:
            self.hidden += 1
        if self.hidden:
            return
        given = dict(attrs)
        self._break(tag)
        if tag == "a":
            self.links.append((given.get("href") or "", len(self.out)))
        elif tag == "img":
            self.out.append(given.get("alt") or "")
        elif tag == "li":
            self.out.append("- ")
        elif tag == "br":
            self.out.append("\n")
        elif tag in ("td", "th"):
            self.out.append("" if not self.out or self.out[-1].endswith("\n") else " ")
        elif tag == "pre":
            self.as_is += 1

    def handle_endtag(self, tag: str) -> None:
        if tag in _HIDDEN:
            self.hidden = max(0, self.hidden - 1)
        if self.hidden:
            return
        if tag == "a" and self.links:
            href, began = self.links.pop()
            said = "".join(self.out[began:]).strip()
            if href.startswith(("http://", "https://", "mailto:")) and href.removeprefix("mailto:") != said:
                self.out.append(f" ({href})" if said else href)
        if tag == "pre":
            self.as_is = max(0, self.as_is - 1)
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if self.hidden:
            return
        if not self.as_is:
            data = re.sub(r"[ \t\r\n\f]+", " ", data)
            if not self.out or self.out[-1].endswith(("\n", " ")):
                data = data.lstrip(" ")
        if data:
            self.out.append(data)

    def _break(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.out.append("\n\n" if tag in _APART else "\n")
