"""/api/profile, as the prompt says."""


async def test_a_user_reads_and_changes_it(client, sign_in):
    await sign_in(client, "ada@example.com")
    empty = (await client.get("/api/profile")).json()
    assert (empty["display_name"], empty["bio"]) == (None, None)

    await client.patch("/api/profile", json={"display_name": "Ada"})
    answer = await client.patch("/api/profile", json={"bio": "Counts."})

    assert answer.status == 200
    assert (answer.json()["display_name"], answer.json()["bio"]) == ("Ada", "Counts.")


async def test_a_name_is_checked(client, sign_in):
    await sign_in(client, "ada@example.com")
    for name in ("", "x" * 101, 7):
        assert (await client.patch("/api/profile", json={"display_name": name})).status == 422


async def test_everybody_else_gets_401(client):
    assert (await client.get("/api/profile")).status == 401
    assert (await client.patch("/api/profile", json={})).status == 401
