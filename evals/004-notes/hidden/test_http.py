"""Notes, as the prompt says."""

NOTE = {"title": "One", "text": "Some text"}


async def test_a_note_is_made_read_changed_and_deleted(client):
    made = await client.post("/api/notes", json=NOTE)
    assert made.status == 201
    place = f"/api/notes/{made.json()['id']}"

    assert (await client.get(place)).json()["title"] == "One"
    changed = await client.patch(place, json={"title": "Two"})
    assert (changed.status, changed.json()["title"], changed.json()["text"]) == (200, "Two", "Some text")
    assert (await client.delete(place)).status == 204
    assert (await client.get(place)).status == 404


async def test_the_list_has_pages_the_newest_first(client):
    ids = [(await client.post("/api/notes", json=NOTE)).json()["id"] for _ in range(3)]

    first = (await client.get("/api/notes?limit=2")).json()
    second = (await client.get("/api/notes?limit=2&page=2")).json()

    assert [row["id"] for row in first["data"] + second["data"]] == ids[::-1]
    assert first["total"] == second["total"] == 3


async def test_a_title_is_checked(client):
    for title in ("", "x" * 201, 7, None):
        assert (await client.post("/api/notes", json={**NOTE, "title": title})).status == 422
    assert (await client.get("/api/notes?limit=101")).status == 422
