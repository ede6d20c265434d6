from pydantic import BaseModel


class _Found(BaseModel):
    id: int
    q: str | None = None


async def get(id: int, q: str | None = None) -> _Found:
    return _Found(id=id, q=q)
