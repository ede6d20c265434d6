"""GET /api/hello, as the prompt says."""


async def test_it_greets_by_name(client):
    answer = await client.get("/api/hello?name=Ada")

    assert (answer.status, answer.json()) == (200, {"message": "Hello, Ada"})


async def test_without_a_name_it_says_world(client):
    assert (await client.get("/api/hello")).json() == {"message": "Hello, World"}


async def test_a_long_name_is_422(client):
    assert (await client.get(f"/api/hello?name={'x' * 100}")).status == 200
    assert (await client.get(f"/api/hello?name={'x' * 101}")).status == 422
