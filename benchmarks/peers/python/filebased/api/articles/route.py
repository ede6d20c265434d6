from typing import Any

from pydantic import BaseModel
from rows import ten_rows


class _Article(BaseModel):
    id: int
    title: str
    views: int
    body: str


async def get() -> list[_Article]:
    rows: Any = ten_rows()
    return rows
