"""GET and POST /api/notes: a page of notes, and a new one."""

from typing import Any

from turnout import Response

from lib.notes import NewNote, Page, add_note, list_notes

auth = "public"  # everybody may read and write; "user" asks for a sign-in


async def GET(query: Page) -> dict[str, Any]:
    """One page, the newest first: ?page=2&limit=50."""
    return await list_notes(query)


async def POST(body: NewNote) -> Response:
    """Keep a new one."""
    note = await add_note(body)
    return Response.json(note, status=201, headers={"location": f"/api/notes/{note['id']}"})
