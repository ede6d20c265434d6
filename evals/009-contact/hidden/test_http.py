"""POST /api/contact, as the prompt says."""

from turnout.mail import outbox

MESSAGE = {"name": "Ada", "email": "ada@example.com", "message": "Hello there"}


async def test_a_message_is_mailed(client):
    assert (await client.post("/api/contact", json=MESSAGE)).status == 202

    (mail,) = outbox
    assert [each.email for each in mail.to] == ["office@example.com"]
    assert mail.reply_to.email == "ada@example.com" and "Hello there" in mail.text


async def test_what_is_missing_is_422(client):
    for name in MESSAGE:
        part = {key: value for key, value in MESSAGE.items() if key != name}
        assert (await client.post("/api/contact", json=part)).status == 422
    assert outbox == []


async def test_a_robot_is_thanked_and_nothing_is_sent(client):
    answer = await client.post("/api/contact", json={**MESSAGE, "website": "https://spam.example"})

    assert answer.status == 202 and outbox == []
