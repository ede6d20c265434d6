"""The project's own service: its settings, its mailbox, its limits, and what waits for the answer to be sent."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.auth.world import refused
from tests.projects import client_of
from turnout.auth import auth_service
from turnout.mail import outbox

SETTINGS = """
[tool.turnout]
allowed_hosts = ["localhost"]
origin = "https://app.example.com"

[tool.turnout.auth]
bcrypt_cost = 4
redirect_urls = ["https://other.example.com/**"]
"""
ROUTES = {
    "pyproject.toml": SETTINGS,
    "app/api/recover/route.py": """
        from turnout import Response
        from turnout.auth import auth_service
        from turnout.mail import outbox

        async def POST(request):
            body = await request.json()
            await auth_service().recover(body["email"], redirect_to="https://other.example.com/new")
            return Response.json({"sent": len(outbox)})
        """,
}


@pytest.fixture(autouse=True)
def _no_database_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)


async def test_mail_is_looked_up_and_sent_after_the_answer_and_leads_to_the_origin(tmp_path: Path) -> None:
    async with client_of(tmp_path, ROUTES) as client:
        await auth_service().admin_create_user(email="ada@example.com", email_confirm=True)
        answers = [
            await client.post("/api/recover", json={"email": email}, headers={"x-forwarded-host": "evil.example"})
            for email in ("ada@example.com", "eve@example.com")
        ]
        assert answers[0].status == answers[1].status == 200
        assert answers[0].json() == {"sent": 0}
    # The end of the client waits for what comes after the answers.
    assert [message.to[0].email for message in outbox] == ["ada@example.com"]
    text = str(outbox[0].text)
    assert "https://app.example.com/auth/v1/verify?token=" in text and "evil.example" not in text
    assert "other.example.com/new" in text
    assert re.search(r"code: \d{6}", text)


async def test_limits_count_in_the_projects_store(tmp_path: Path) -> None:
    async with client_of(tmp_path, ROUTES):
        auth = auth_service()
        for _ in range(10):
            with refused("invalid_credentials", 400):
                await auth.sign_in_with_password("ada@example.com", "wrong password")
        with refused("over_request_rate_limit", 429):
            await auth.sign_in_with_password("ada@example.com", "wrong password")
        await auth.recover("ada@example.com")
        with refused("over_email_send_rate_limit", 429):
            await auth.recover("ada@example.com")


async def test_a_setting_that_makes_no_sense_stops_the_first_use(tmp_path: Path) -> None:
    from turnout.errors import ConfigError

    wrong = SETTINGS.replace("https://other.example.com/**", "javascript:alert(1)")
    async with client_of(tmp_path, {**ROUTES, "pyproject.toml": wrong}):
        with pytest.raises(ConfigError, match="redirect_urls"):
            auth_service()
