"""A limit and a key belong to the signed-in user, wherever the user is."""

from __future__ import annotations

import pytest
from auth.test_client import CALL, SETTINGS, sign_up
from projects import client_of

ROUTE = """
    from turnout import idempotent

    auth = "user"
    rate_limit = "3/hour"

    @idempotent
    async def POST(request, tx):
        return {"user": request.state.user.id}
    """


@pytest.fixture(autouse=True)
def _of_its_own(monkeypatch):
    for name in ("SUPABASE_URL", "DATABASE_URL", "STORE_URL"):
        monkeypatch.delenv(name, raising=False)


async def test_a_user_has_one_count_and_keys_of_their_own_at_every_address(tmp_path):
    files = {"pyproject.toml": SETTINGS, "app/api/x/route.py": ROUTE, "app/api/call/route.py": CALL}
    async with client_of(tmp_path, files) as client:
        tokens = []
        for name in ("ada", "bob"):
            tokens.append((await sign_up(client, email=f"{name}@example.com"))["session"]["access_token"])
            client.cookies.clear()

        async def post(token: str, peer: str):
            client.peer = peer
            return await client.post("/api/x", headers={"authorization": f"Bearer {token}", "idempotency-key": "k"})

        ada = [await post(tokens[0], f"203.0.113.{each}") for each in range(4)]
        bob = await post(tokens[1], "203.0.113.3")

        assert [each.status for each in ada] == [200, 200, 200, 429]
        assert [each.headers.get("idempotency-replayed") for each in ada] == [None, "true", "true", None]
        assert (bob.status, bob.headers.get("idempotency-replayed")) == (200, None)
        assert bob.json() != ada[0].json()
        assert (await client.post("/api/x")).status == 401
        assert not (await client.post("/api/x")).headers.has("ratelimit")  # judged before it is counted
