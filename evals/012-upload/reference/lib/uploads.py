"""Files that users keep: their bytes in data/uploads, under names of our own, and a row for each."""

from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from turnout import NotFound, Response, UnsupportedMediaType, UploadFile, ValidationFailed, db

FOLDER = Path(__file__).parents[1] / "data" / "uploads"
COLUMNS = "id, name, media_type, size, created_at"
# The first bytes of what is taken. No HTML and no SVG: those run scripts where they are opened.
KINDS = {
    b"\x89PNG\r\n\x1a\n": ("image/png", ".png"),
    b"\xff\xd8\xff": ("image/jpeg", ".jpg"),
    b"GIF87a": ("image/gif", ".gif"),
    b"GIF89a": ("image/gif", ".gif"),
    b"%PDF-": ("application/pdf", ".pdf"),
}


async def keep_file(owner_id: str, file: UploadFile) -> dict[str, Any]:
    """Keep *file*, and give its row.

    Raises:
        ValidationFailed: it is empty.
        UnsupportedMediaType: it is nothing that is taken.
    """
    head = await file.read(16)
    await file.seek(0)
    if not head:
        failure = {"pointer": "/file", "message": "is empty", "type": "file"}
        raise ValidationFailed("The file is empty", errors=[failure])
    media_type, ending = _kind_of(head)
    id = uuid4()
    FOLDER.mkdir(parents=True, exist_ok=True)
    # Never under the name that the client gave: it may say ../../x.
    place = FOLDER / id.hex
    await file.save(place)
    values = {"name": _name(file.filename, ending), "media_type": media_type, "size": file.size}
    try:
        new = db.from_("uploads").insert({"id": id, "owner_id": owner_id, **values})
        row = await new.select(COLUMNS).single()
    except BaseException:
        place.unlink(missing_ok=True)
        raise
    assert row is not None  # one was written
    return row


async def list_files(owner_id: str) -> list[dict[str, Any]]:
    """The newest hundred."""
    found = db.from_("uploads").select(COLUMNS).eq("owner_id", owner_id)
    return await found.order("created_at", desc=True).order("id").limit(100)


async def send_file(owner_id: str, id: UUID) -> Response:
    """The file as an answer.

    Raises:
        NotFound: there is none of that user's.
    """
    row = await db.from_("uploads").select(COLUMNS).eq("id", id).eq("owner_id", owner_id).single()
    if row is None:
        raise NotFound("No such file")
    return Response.file(FOLDER / id.hex, filename=row["name"], media_type=row["media_type"])


async def remove_file(owner_id: str, id: UUID) -> None:
    """Delete the row, and then the bytes: without a row nobody gets at them.

    Raises:
        NotFound: there is none of that user's.
    """
    removed = await db.from_("uploads").delete().eq("id", id).eq("owner_id", owner_id)
    if not removed.count:
        raise NotFound("No such file")
    (FOLDER / id.hex).unlink(missing_ok=True)


def _kind_of(head: bytes) -> tuple[str, str]:
    for first, kind in KINDS.items():
        if head.startswith(first):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp", ".webp"
    raise UnsupportedMediaType("Send a PNG, JPEG, GIF, WebP or PDF")


def _name(given: str | None, ending: str) -> str:
    """What the client calls it, as far as that is a plain name, with the ending of what it is."""
    words = "".join(letter for letter in given or "" if letter.isalnum() or letter in " ._-")
    stem = words.rpartition(".")[0] or words
    return (stem.strip(" .")[:80] or "file") + ending
