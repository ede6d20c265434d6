from pydantic import BaseModel


class Found(BaseModel):
    id: int
    q: str | None = None


async def get(id: int, q: str | None = None) -> Found:
    return Found(id=id, q=q)
