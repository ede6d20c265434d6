"""What a client may say about posts. Whatever does not fit is answered with 422 before the handler runs."""

from typing import Annotated

from msgspec import Meta, Struct


# Unknown fields are refused, so nobody sets an id or a date by sending one.
class PostInput(Struct, forbid_unknown_fields=True):
    title: Annotated[str, Meta(min_length=1, max_length=200)]
    content: Annotated[str, Meta(min_length=1)]


class Page(Struct):
    page: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, Meta(ge=1, le=100)] = 10
