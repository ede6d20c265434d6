"""The servers that the auth clients' own suites expect, by the settings in which they differ."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from served import Served, served

from turnout.db.local import LocalPostgres

GATEWAY = Path(__file__).with_name("gateway.py")
# As many as a suite may ask for: limits have tests of their own.
SETTINGS = """
anonymous = true
password_min_length = 6
bcrypt_cost = 4
google_client_id = "google-client"
mail_interval_s = 1
mails_per_hour = 100000
sign_ins_per_five_min = 100000
verifications_per_five_min = 100000
codes_per_five_min = 100000
refreshes_per_five_min = 100000
passwords_per_five_min = 100000
anonymous_per_hour = 100000
"""


def auth_server(
    folder: Path, settings: str, *, keys: list[dict[str, Any]] | None = None, database: str | None = None
) -> AbstractContextManager[Served]:
    """A server with *settings* beside those that all of them have.

    Args:
        keys: JWKs in the place of the project's own; the first signs.
        database: DATABASE_URL, where several servers share one.
    """
    folder.mkdir(parents=True)
    values = {"AUTH_GOOGLE_SECRET": "google-secret"}
    if keys is not None:
        values["TURNOUT_AUTH_KEYS"] = json.dumps(keys)
    return served(folder, auth=settings + SETTINGS, database=database, environment=values, script=GATEWAY)


def shared_secret(text: str) -> dict[str, Any]:
    """A JWK for HS256 without a name."""
    return {"kty": "oct", "alg": "HS256", "k": base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()}


@contextmanager
def database(engine: str, folder: Path) -> Iterator[str]:
    """The DATABASE_URL of an empty database on *engine*."""
    if engine == "sqlite":
        yield f"sqlite:///{folder / 'shared.db'}"
        return
    running = LocalPostgres(folder / "pg", {"fsync": "off", "max_connections": "100"})
    running.start()
    try:
        yield running.url()
    finally:
        running.stop("immediate")
