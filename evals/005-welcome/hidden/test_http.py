"""POST /api/signup, as the prompt says."""

from turnout.auth import auth_service
from turnout.mail import outbox
from turnout.tasks import drain

ADA = {"email": "ada@example.com", "password": "correct horse", "name": "Ada"}


async def welcomes():
    await drain()
    return [mail for mail in outbox if mail.subject.startswith("Welcome")]


async def test_who_signs_up_is_a_user_and_is_welcomed(client):
    assert (await client.post("/api/signup", json=ADA)).status == 201

    (mail,) = await welcomes()
    assert [each.email for each in mail.to] == ["ada@example.com"]
    assert "Ada" in mail.subject and "Ada" in mail.text
    assert [user.email for user in (await auth_service().list_users())[0]] == ["ada@example.com"]


async def test_a_short_password_is_refused(client):
    assert (await client.post("/api/signup", json={**ADA, "password": "short"})).status == 422
    assert await welcomes() == []
