"""GET /api/config, as the prompt says."""


async def test_the_name_is_shown(client):
    answer = await client.get("/api/config")

    assert (answer.status, answer.json()["app_name"]) == (200, "Shop")
