"""POST and GET /api/files: keep a file, and list what one has kept.

Send a form with the field "file". What a file is, is told by its first bytes; neither its name nor what the client
says it is decides anything.
"""

from typing import Any

from turnout import FormData, Request, Response, UploadFile, ValidationFailed

from lib.uploads import keep_file, list_files

auth = "user"  # each user sees their own
rate_limit = "30/min"
body_limit = "1 MB"


async def GET(request: Request) -> list[dict[str, Any]]:
    """The newest files of the user."""
    return await list_files(request.state.user.id)


async def POST(request: Request, body: FormData) -> Response:
    """Keep one."""
    file = body.get("file")
    if not isinstance(file, UploadFile):
        failure = {"pointer": "/file", "message": "is no file", "type": "file"}
        raise ValidationFailed("Send a file as the field 'file'", errors=[failure])
    kept = await keep_file(request.state.user.id, file)
    return Response.json(kept, status=201, headers={"location": f"/api/files/{kept['id']}"})
