"""Pictures that come with posts: told by what is in the file, never by what its sender calls it."""

from msgspec import Struct
from turnout import UploadFile

LARGEST_BYTES = 2_000_000
BEGINNINGS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF89a": "image/gif"}


class Picture(Struct):
    """A picture as it is kept; *description* is for those who do not see it."""

    type: str
    content: bytes
    description: str


async def read(upload: UploadFile, description: str) -> Picture | None:
    """What was uploaded; None if it is no picture, or too large."""
    if upload.size > LARGEST_BYTES:
        return None
    content = await upload.read()
    type = next((type for beginning, type in BEGINNINGS.items() if content.startswith(beginning)), None)
    return None if type is None else Picture(type, content, description)
