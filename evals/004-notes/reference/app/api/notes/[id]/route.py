"""GET, PATCH and DELETE /api/notes/[id]: one note. An id that is no number is 404."""

from typing import Annotated, Any

from msgspec import Meta

from lib.notes import LARGEST, NoteChanges, change_note, get_note, remove_note

auth = "public"  # everybody may read and write; "user" asks for a sign-in

Id = Annotated[int, Meta(ge=1, le=LARGEST)]


async def GET(id: Id) -> dict[str, Any]:
    """Read it."""
    return await get_note(id)


async def PATCH(id: Id, body: NoteChanges) -> dict[str, Any]:
    """Change what the body names."""
    return await change_note(id, body)


async def DELETE(id: Id) -> None:
    """Delete it: 204."""
    await remove_note(id)
