"""W3's rules for the peers in Python that bring no validation of their own: msgspec, the fastest there is."""

from __future__ import annotations

from typing import Annotated

import msgspec


class Item(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    price: Annotated[float, msgspec.Meta(ge=0)]
    quantity: Annotated[int, msgspec.Meta(ge=1)]
    tags: list[str] = []


to_item = msgspec.json.Decoder(Item).decode
BadItem = (msgspec.ValidationError, msgspec.DecodeError)


def answer(item: Item) -> dict[str, object]:
    """W3's answer."""
    return {"name": item.name, "tags": item.tags, "total": item.price * item.quantity}
