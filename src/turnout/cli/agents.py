"""What a coding agent must know of a Turnout project that it cannot infer: a block of ``AGENTS.md``, 40 lines at most.

Written by ``turnout new`` and refreshed by ``turnout new --agents``; ``agent_rules = false`` opts out. What stands
outside the block's two marks is the user's and stays.
"""

from __future__ import annotations

from pathlib import Path

BEGIN = "<!-- turnout:begin, refreshed by: turnout new --agents -->"
END = "<!-- turnout:end -->"
POINTER = "@AGENTS.md\n"

BLOCK = """\
# This is a Turnout project

Turnout is not FastAPI, Flask or Next.js: read its docs first, they are installed. `python -m turnout.docs --path`
prints their folder, `python -m turnout.docs --search "signed webhook"` finds the page.

```python
# app/api/notes/[id]/route.py answers /api/notes/7; the function's name is the method
from turnout import NotFound, db


async def GET(id: int):
    if note := await db.from_("notes").select("*").eq("id", id).single():
        return note
    raise NotFound("No such note")
```

- `app/**/route.py`: `GET POST PUT PATCH DELETE`, constants `auth rate_limit body_limit cors revalidate`; no decorators
- `app/**/middleware.py`, `error.py`: for their folder and below · `lib/`: shared code, `from lib.x import y`
- `migrations/*.sql`: the tables, forward only · `templates/`, `public/` · `tests/`: `turnout.testing.Client`
- Arguments are filled by name: `request`, `params`, a `[folder]`, `query: Struct`, `body: Struct` (else 422)

Commands: `turnout check` (every problem at once) · `turnout routes` · `turnout call GET /api/notes` · `pytest` ·
`turnout db migrate` · `turnout create --recipes` (proved routes: webhooks, sign-up, CRUD, upload …) · `turnout mcp`

Do not
1. name a handler `get` or `get_notes`, or decorate it: the name is the method, in capitals;
2. build SQL from text: `db.from_(…)`, or `db.sql("… where id = :id", id=id)`;
3. parse JSON or check types by hand: a `msgspec.Struct` in the signature does, with every failure named;
4. check signatures, sessions or limits by hand: `turnout.webhooks`, `auth = "user"`, `rate_limit = "20/min"`;
5. read or write `.env*`, or change a migration that was applied: write the next one.

"""


def block() -> str:
    """The text between the marks, with the pages of this version."""
    from ..docs import KINDS, pages

    found = pages()
    lines = []
    for kind in KINDS:
        names = [each.path.removeprefix(f"{kind}/").removesuffix(".md") for each in found if each.path.startswith(kind)]
        lines.append(f"Docs, `{kind}/`: {', '.join(names)}")
    return f"{BEGIN}\n{BLOCK}" + "\n".join(lines) + f"\n{END}\n"


def write(root: Path) -> list[str]:
    """Write or refresh the block in *root*, and give the names of the files that changed."""
    changed = []
    file = root / "AGENTS.md"
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    after = merged(before, block())
    if after != before:
        file.write_text(after, encoding="utf-8")
        changed.append(file.name)
    pointer = root / "CLAUDE.md"
    if not pointer.exists():
        pointer.write_text(POINTER, encoding="utf-8")
        changed.append(pointer.name)
    return changed


def merged(before: str, new: str) -> str:
    """*before* with *new* in the place of the block that is there, or at its end."""
    start, end = before.find(BEGIN), before.find(END)
    if 0 <= start < end:
        return before[:start] + new + before[end + len(END) :].removeprefix("\n")
    return new if not before.strip() else before.rstrip("\n") + "\n\n" + new
