from typing import Annotated

from pydantic import BaseModel, Field


class _Item(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=100)]
    price: Annotated[float, Field(ge=0)]
    quantity: Annotated[int, Field(ge=1)]
    tags: list[str] = []


class _Made(BaseModel):
    name: str
    tags: list[str]
    total: float


async def post(item: _Item) -> _Made:
    return _Made(name=item.name, tags=item.tags, total=item.price * item.quantity)
