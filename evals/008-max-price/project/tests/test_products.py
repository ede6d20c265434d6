"""GET /api/products: everything, the cheapest first."""

import asyncio
from pathlib import Path

from turnout.db import db, migrate
from turnout.testing import Client

ROOT = Path(__file__).parent.parent


def test_everything_is_listed_the_cheapest_first(tmp_path, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", str(tmp_path / "test.db"))

    async def test():
        async with Client(root=ROOT) as client:
            await migrate.migrate(db, ROOT / "migrations")
            await db.from_("products").insert([{"name": "lamp", "price": 50}, {"name": "pen", "price": 2}])
            answer = await client.get("/api/products")
            assert [row["name"] for row in answer.json()] == ["pen", "lamp"]

    asyncio.run(test())
