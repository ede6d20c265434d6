"""GET /api/products, as the prompt says."""

from turnout import db

ROWS = [{"name": "pen", "price": 2}, {"name": "book", "price": 20}, {"name": "lamp", "price": 50}]


async def names(client, query=""):
    return [row["name"] for row in (await client.get(f"/api/products{query}")).json()]


async def test_what_costs_more_is_left_out(client):
    await db.from_("products").insert(ROWS)

    assert await names(client, "?max_price=20") == ["pen", "book"]
    assert await names(client, "?max_price=0") == []
    assert await names(client) == ["pen", "book", "lamp"]


async def test_what_is_no_price_is_422(client):
    for value in ("x", "-1", ""):
        assert (await client.get(f"/api/products?max_price={value}")).status == 422
