import datetime
import decimal
import uuid
from dataclasses import dataclass


@dataclass
class Query:
    page: int = 1
    tags: list[str] | None = None


async def GET(request, query: Query):
    return {
        "page": query.page,
        "tags": query.tags,
        "when": datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC),
        "price": decimal.Decimal("1.50"),
        "id": uuid.UUID(int=7),
    }
