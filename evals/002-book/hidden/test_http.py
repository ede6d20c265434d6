"""GET /api/books/{id}, as the prompt says."""

from turnout import db


async def test_a_book_is_found_by_its_number(client):
    await db.from_("books").insert([{"title": "One", "author": "Ada"}, {"title": "Two", "author": "Bob"}])

    answer = await client.get("/api/books/2")

    assert (answer.status, answer.json()) == (200, {"id": 2, "title": "Two", "author": "Bob"})


async def test_what_is_not_there_is_404(client):
    assert (await client.get("/api/books/99")).status == 404
    assert (await client.get("/api/books/one")).status == 404
