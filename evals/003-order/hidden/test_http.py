"""POST /api/orders, as the prompt says."""

from turnout import db


async def test_a_good_order_is_kept(client):
    answer = await client.post("/api/orders", json={"sku": "A-1", "quantity": 99})

    assert (answer.status, answer.json()) == (201, {"id": answer.json()["id"], "sku": "A-1", "quantity": 99})
    assert await db.from_("orders").select("sku, quantity") == [{"sku": "A-1", "quantity": 99}]


async def test_anything_else_is_422_naming_the_field(client):
    for changes, field in (
        ({"quantity": 0}, "/quantity"),
        ({"quantity": 100}, "/quantity"),
        ({"quantity": "3"}, "/quantity"),
        ({"quantity": 1.5}, "/quantity"),
        ({"sku": ""}, "/sku"),
        ({"sku": "x" * 41}, "/sku"),
        ({"sku": "A 1"}, "/sku"),
        ({"sku": None}, "/sku"),
    ):
        answer = await client.post("/api/orders", json={"sku": "A-1", "quantity": 1, **changes})
        assert (answer.status, answer.json()["errors"][0]["pointer"]) == (422, field), changes
    assert await db.from_("orders").select("id") == []
