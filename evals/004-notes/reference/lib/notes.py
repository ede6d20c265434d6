"""Notes: what one must look like, and how they are kept. The routes are below app/api/notes."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from turnout import NotFound, db

COLUMNS = "id, title, text, created_at"
LARGEST = 2**53 - 1  # what every client's numbers can hold

Title = Annotated[str, Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(min_length=1, max_length=20_000)]


class NewNote(Struct):
    """What a client sends for a new one."""

    title: Title
    text: Text


class NoteChanges(Struct):
    """What a client sends to change one; what is left out stays as it is."""

    title: Title | UnsetType = UNSET
    text: Text | UnsetType = UNSET


class Page(Struct):
    """Which part of the list."""

    page: Annotated[int, Meta(ge=1, le=100_000)] = 1
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


async def list_notes(query: Page) -> dict[str, Any]:
    """One page, the newest first, and how many there are in all."""
    first = (query.page - 1) * query.limit
    found = db.from_("notes").select(COLUMNS, count="exact").order("id", desc=True)
    rows = await found.range(first, first + query.limit - 1)
    return {"data": rows, "total": rows.count}


async def add_note(new: NewNote) -> dict[str, Any]:
    """Keep a new one, and give it with its id."""
    values = msgspec.to_builtins(new)
    row = await db.from_("notes").insert(values).select(COLUMNS).single()
    assert row is not None  # one was written
    return row


async def get_note(id: int) -> dict[str, Any]:
    """The one with that id.

    Raises:
        NotFound: there is none.
    """
    row = await db.from_("notes").select(COLUMNS).eq("id", id).single()
    if row is None:
        raise NotFound("No such note")
    return row


async def change_note(id: int, changes: NoteChanges) -> dict[str, Any]:
    """Change what *changes* names.

    Raises:
        NotFound: there is none.
    """
    values = msgspec.to_builtins(changes)
    if not values:
        return await get_note(id)
    row = await db.from_("notes").update(values).eq("id", id).select(COLUMNS).single()
    if row is None:
        raise NotFound("No such note")
    return row


async def remove_note(id: int) -> None:
    """Delete the one with that id.

    Raises:
        NotFound: there is none.
    """
    removed = await db.from_("notes").delete().eq("id", id)
    if not removed.count:
        raise NotFound("No such note")
