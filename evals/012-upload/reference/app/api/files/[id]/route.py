"""GET and DELETE /api/files/[id]: one file of the user; anybody else's is 404."""

from uuid import UUID

from turnout import Request, Response

from lib.uploads import remove_file, send_file

auth = "user"  # each user sees their own


async def GET(request: Request, id: UUID) -> Response:
    """Send it, to be saved and never to be shown as a page of this site."""
    return await send_file(request.state.user.id, id)


async def DELETE(request: Request, id: UUID) -> None:
    """Delete it: 204."""
    await remove_file(request.state.user.id, id)
