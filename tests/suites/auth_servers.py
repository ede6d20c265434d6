"""The servers that the auth clients' own suites expect, by the settings in which they differ."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from served import Served, served

from turnout.db.local import LocalPostgres

GATEWAY = Path(__file__).with_name("gateway.py")
# The suites' own place for links to lead back to, whichever of the servers is asked.
WELCOME = 'redirect_urls = ["http://localhost:9999/**"]\n'
# As many as a suite may ask for: limits have tests of their own.
SETTINGS = """
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
def four_servers(folder: Path, compose: Path, secret: str, database: str) -> Iterator[dict[int, str]]:
    """The four servers of a suite's infra/docker-compose.yml: the address of each by the port it has there.

    Args:
        secret: Signs in all of them but the one whose ring there signs with a pair.
        database: DATABASE_URL, which they share.
    """
    shared = [shared_secret(secret)]
    with ExitStack() as stack:
        urls = {}
        for said in _services(compose.read_text()):
            # The key that signs first: "key_ops" says which one may.
            ring = sorted(json.loads(said.get("GOTRUE_JWT_KEYS", "[]")), key=lambda jwk: "sign" not in jwk["key_ops"])
            keys = ring if ring and ring[0]["kty"] == "RSA" else shared
            site = auth_server(folder / said["PORT"], _settings(said), keys=keys, database=database)
            urls[int(said["PORT"])] = f"{stack.enter_context(site).url}/auth/v1"
        yield urls


def _services(compose: str) -> Iterator[dict[str, str]]:
    """The environment of each auth server in *compose*."""
    for service in re.split(r"^  (?=\w+:)", compose, flags=re.MULTILINE):
        said = dict(re.findall(r"^      (\w+): '?(.*?)'?$", service, re.MULTILINE))
        if "GOTRUE_SITE_URL" in said:
            yield said


def _settings(said: dict[str, str]) -> str:
    def flag(name: str) -> bool:
        return said.get(name) == "true"

    wanted = {
        "auto_confirm": flag("GOTRUE_MAILER_AUTOCONFIRM"),
        "sign_ups": not flag("GOTRUE_DISABLE_SIGNUP"),
        "anonymous": flag("GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED"),
    }
    return "".join(f"{name} = {str(value).lower()}\n" for name, value in wanted.items()) + WELCOME


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
