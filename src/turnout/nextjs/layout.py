"""Long lines of Python broken at their outermost brackets."""

from __future__ import annotations

import re

WIDTH = 100
FALSE = '(None, False, 0, "")'  # what is false in JavaScript; [] and {} are not
_OPEN, _CLOSE = "([{", ")]}"


def fold(line: str) -> list[str]:
    """*line* in lines of at most ``WIDTH``, where its brackets allow it."""
    if len(line) <= WIDTH or line.lstrip().startswith("#"):
        return [line]
    asked = _condition(line)
    if asked:
        return asked
    chained = _chain(line)
    if chained:
        return chained
    pair = _outermost(line)
    if pair is None:
        return [line]
    start, end = pair
    indent = line[: len(line) - len(line.lstrip())] + "    "
    items = _split(line[start + 1 : end])
    if not items or (len(items) == 1 and items[0].startswith(("*", 'f"', '"')) and line[start] == "("):
        return [line]
    folded = [line[: start + 1]]
    # Parentheses around one thing only group it: a comma would make a tuple of it.
    grouping = line[start] == "(" and not (line[:start][-1:].isalnum() or line[:start][-1:] in ("_", ")", "]"))
    comma = "" if len(items) == 1 and (grouping or " for " in items[0]) else ","
    for item in items:
        folded += fold(f"{indent}{item}{comma}")
    return [*folded, *fold(indent[4:] + line[end:])]


_CALLS = 4  # from so many on a chain is a line for each


def _condition(line: str) -> list[str]:
    """``if a or b:`` with a line for each side; nothing if it is no such line."""
    match = re.fullmatch(r"(\s*)(if|elif|while) (.*):", line)
    if match is None:
        return []
    indent, word, asked = match[1], match[2], match[3]
    for joint in (" or ", " and "):
        places = _joints(asked, joint)
        if places:
            sides = [asked[begin:end] for begin, end in zip([0, *places], [*places, len(asked)], strict=True)]
            inner = [part for side in sides for part in fold(f"{indent}    {side.strip()}")]
            return [f"{indent}{word} (", *inner, f"{indent}):"]
    return []


def _joints(asked: str, joint: str) -> list[int]:
    """Where *joint* stands outside of every bracket; nowhere if a choice or a lambda is around it."""
    depth, found, code = 0, [], _code(asked)
    for place, char in code:
        depth += (char in _OPEN) - (char in _CLOSE)
        if depth == 0 and asked.startswith(joint, place):
            found.append(place)
        if depth == 0 and asked.startswith((" if ", "lambda"), place):
            return []
    return found


def _chain(line: str) -> list[str]:
    """``found = await db.from_("a").select("b").eq(...)`` with a line for each call; nothing if it is no such chain."""
    match = re.match(r"(\s*)((?:[\w, ]+ = |return )?)(await )?(?=[\w])", line)
    if match is None:
        return []
    indent, head, waits = match[1], match[2], match[3] or ""
    chain = line[match.end() :]
    steps, depth, begin = [], 0, 0
    for place, char in _code(chain):
        if char in _OPEN:
            depth += 1
        elif char in _CLOSE:
            depth -= 1
        elif depth == 0 and char == "." and chain[place - 1] == ")":
            steps.append(chain[begin:place])
            begin = place
        elif depth == 0 and not (char.isalnum() or char in "._"):
            return []
    steps.append(chain[begin:])
    if len(steps) < _CALLS or not chain.endswith(")"):
        return []
    inner = indent + "    "
    return [
        f"{indent}{head}{waits}(",
        *(part for step in steps for part in fold(inner + step)),
        f"{indent})",
    ]


def _outermost(line: str) -> tuple[int, int] | None:
    """The longest pair of brackets that is in no other."""
    best: tuple[int, int] | None = None
    depth, start = 0, 0
    for place, char in _code(line):
        if char in _OPEN:
            if depth == 0:
                start = place
            depth += 1
        elif char in _CLOSE:
            depth -= 1
            if line[start : place + 1] == FALSE:
                continue
            if depth == 0 and place > start + 1 and (best is None or place - start > best[1] - best[0]):
                best = (start, place)
    return best


def _split(inside: str) -> list[str]:
    """The pieces between the commas that are in no bracket."""
    pieces, depth, begin = [], 0, 0
    for place, char in _code(inside):
        if char in _OPEN:
            depth += 1
        elif char in _CLOSE:
            depth -= 1
        elif char == "," and depth == 0:
            pieces.append(inside[begin:place].strip())
            begin = place + 1
    return [piece for piece in [*pieces, inside[begin:].strip()] if piece]


def _code(line: str) -> list[tuple[int, str]]:
    """The places and characters of *line* that are in no string."""
    found, quote, place = [], "", 0
    while place < len(line):
        char = line[place]
        if quote:
            if char == "\\":
                place += 1
            elif char == quote:
                quote = ""
        elif char in "\"'":
            quote = char
        else:
            found.append((place, char))
        place += 1
    return found
