from typing import Annotated

from pydantic import BaseModel, Field


class Item(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=100)]
    price: Annotated[float, Field(ge=0)]
    quantity: Annotated[int, Field(ge=1)]
    tags: list[str] = []


class Made(BaseModel):
    name: str
    tags: list[str]
    total: float


async def post(item: Item) -> Made:
    return Made(name=item.name, tags=item.tags, total=item.price * item.quantity)
