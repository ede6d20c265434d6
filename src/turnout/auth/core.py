"""What every part of auth stands on: the tables, the keys, and how a user is made, confirmed and written to."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Self

from ..config import AuthConfig, Config
from ..context import after, current
from ..db.database import Database
from ..errors import ConfigError
from ..mail.message import parse_address
from .codes import CHANGE_CURRENT, CHANGE_NEW, CONFIRMATION, RECOVERY, Codes
from .errors import AuthError, invalid
from .keys import Keys
from .limits import Counter, Limits
from .mail import AuthMail, Sender
from .passwords import Passwords, to_bytes
from .redirects import Redirects
from .sessions import Sessions
from .store import Row, Store, Tx
from .tokens import AUDIENCE, Tokens

# The e-mail input of https://html.spec.whatwg.org/#valid-e-mail-address. ASCII only: two addresses that
# look alike are then one.
_EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
_LONGEST_EMAIL = 254
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
METADATA_BYTES = 4096  # of each kind, as ASCII: both are in every token, and a token has a greatest length


class AuthCore:
    """The parts of auth, put together.

    Args:
        database: Where users are.
        settings: ``[tool.turnout.auth]``.
        keys: What signs.
        site_url: The site that links lead back to.
        api_url: Where ``/verify`` and ``/callback`` are.
        secrets: The providers' secrets by name: ``google``, ``github``.
        sender: Sends mail; ``turnout.send_email`` if None.
        counter: Counts for limits; ``turnout.rate_limit`` if None.
        clock: Unix seconds.
        tokens: In place of what *keys* and *settings* make.
    """

    def __init__(
        self,
        database: Database,
        settings: AuthConfig,
        keys: Keys,
        *,
        site_url: str,
        api_url: str | None = None,
        secrets: Mapping[str, str] | None = None,
        sender: Sender | None = None,
        counter: Counter | None = None,
        clock: Callable[[], float] = time.time,
        tokens: Tokens | None = None,
    ) -> None:
        self.settings, self.keys, self.clock = settings, keys, clock
        self.redirects = Redirects(site_url, settings.redirect_urls)
        self.api_url = (api_url or f"{self.redirects.site_url}/auth/v1").rstrip("/")
        issuer = settings.issuer or self.api_url
        self.tokens = tokens or Tokens(keys, issuer, AUDIENCE, settings.access_token_s)
        self.store = Store(database)
        self.passwords = Passwords(settings.bcrypt_cost)
        self.sessions = Sessions(self.store, self.tokens, settings, clock)
        self.codes = Codes(keys, settings.code_s, clock)
        self.limits = Limits(settings, counter)
        self.mail = AuthMail(self.api_url, self.redirects.site_url, sender)
        self.secrets = dict(secrets or {})

    @classmethod
    def of(cls, config: Config, env: Mapping[str, str]) -> Self:
        """The service of a project.

        Raises:
            ConfigError: production without keys or without an address, or a package is missing.
        """
        try:
            import cryptography  # noqa: F401
            import jwt  # noqa: F401
        except ImportError as exc:
            raise ConfigError("auth needs cryptography and PyJWT", cure='pip install "turnout[auth]"') from exc
        from ..db import db

        settings = config.auth
        here = None if config.mode == "production" else f"http://localhost:{config.server.port}"
        site = settings.site_url or config.origin or here
        if site is None:
            raise ConfigError(
                "auth does not know the address of the site, which its links lead to",
                file="pyproject.toml",
                cure='add origin = "https://example.com" under [tool.turnout]',
            )
        keys = Keys.load(config.root, config.mode, env)
        secrets = {name: env[key] for name in ("google", "github") if (key := f"AUTH_{name.upper()}_SECRET") in env}
        api = (config.origin or site).rstrip("/") + "/auth/v1"
        return cls(db, settings, keys, site_url=site, api_url=api, secrets=secrets)

    async def close(self) -> None:
        """Let go of the threads that hash passwords."""
        self.passwords.close()

    def now(self) -> datetime:
        """This moment, by the service's clock."""
        return datetime.fromtimestamp(self.clock(), UTC)

    async def soon(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do *work* once the answer is sent, so that how long it takes tells the client nothing.

        Outside of a request there is nobody to tell, and it is done at once.
        """

        async def run() -> None:
            await work()

        if current.get(None) is None:
            await work()
        else:
            after(run)  # a coroutine function, which needs no thread

    # --- what people type ---

    def email(self, text: Any) -> str:
        """An address in lower case.

        Raises:
            AuthError: ``validation_failed``.
        """
        if not isinstance(text, str) or len(text) > _LONGEST_EMAIL or not _EMAIL.fullmatch(text.strip()):
            raise invalid("Unable to validate email address: invalid format")
        try:
            # An address that mail would refuse is told now, and not by a 500 when its code is sent.
            return parse_address(text.strip()).email.lower()
        except ValueError:
            raise invalid("Unable to validate email address: invalid format") from None

    def check_new_password(self, password: Any) -> str:
        """A password that may be set.

        Raises:
            AuthError: ``validation_failed`` or ``weak_password``.
        """
        if not isinstance(password, str) or not password:
            raise invalid("Signup requires a valid password")
        to_bytes(password)
        least = self.settings.password_min_length
        if len(password) < least:
            raise AuthError("weak_password", f"Password should be at least {least} characters.", reasons=("length",))
        return password

    # --- users ---

    def user_row(self, **given: Any) -> Row:
        """A new user's row."""
        now = self.now()
        return {
            "instance_id": "00000000-0000-0000-0000-000000000000", "id": str(uuid.uuid4()), "aud": AUDIENCE,
            "role": "authenticated", "email": None, "encrypted_password": None, "email_confirmed_at": None,
            "raw_app_meta_data": {"provider": "email", "providers": ["email"]}, "raw_user_meta_data": {},
            "created_at": now, "updated_at": now, "is_anonymous": False, **given,
        }  # fmt: skip

    async def add_identity(
        self, tx: Tx, user_id: str, provider: str, provider_id: str, data: Mapping[str, Any], email: str | None
    ) -> None:
        """A new way for a user to sign in."""
        now = self.now()
        row = {
            "id": str(uuid.uuid4()), "user_id": user_id, "provider": provider, "provider_id": provider_id,
            "identity_data": dict(data), "email": email, "last_sign_in_at": now, "created_at": now, "updated_at": now,
        }  # fmt: skip
        await tx.insert("identities", row)

    async def set_email_identity(self, tx: Tx, user_id: str, email: str, *, verified: bool) -> None:
        """Note a user's address among the identities."""
        data = {"sub": user_id, "email": email, "email_verified": verified, "phone_verified": False}
        rows = [row for row in await tx.identities(user_id) if row["provider"] == "email"]
        if rows:
            await tx.update(
                "identities", rows[0]["id"], {"identity_data": data, "email": email, "updated_at": self.now()}
            )
        else:
            await self.add_identity(tx, user_id, "email", user_id, data, email)

    async def set_providers(self, tx: Tx, row: Row) -> None:
        """Bring ``app_metadata.providers`` up to date with the identities."""
        names = list(dict.fromkeys(each["provider"] for each in await tx.identities(row["id"])))
        meta = {**(row["raw_app_meta_data"] or {}), "providers": names}
        if names and meta.get("provider") not in names:
            meta["provider"] = names[0]
        await tx.update("users", row["id"], {"raw_app_meta_data": meta, "updated_at": self.now()})

    async def confirm(self, tx: Tx, row: Row, *, by_owner_of_password: bool) -> None:
        """A user has shown that the address is his.

        Whoever signed up with somebody else's address chose the password; so it goes, with its
        sessions, unless it was the sign-up itself that was confirmed.
        """
        if row["email_confirmed_at"] is not None:
            return
        now = self.now()
        changes = {"email_confirmed_at": now, "updated_at": now, "is_anonymous": False}
        if not by_owner_of_password:
            changes["encrypted_password"] = None
            await self.sessions.end(tx, row["id"])
        await tx.update("users", row["id"], changes)
        await self.codes.void(tx, row["id"], (CONFIRMATION,))
        await self.set_email_identity(tx, row["id"], row["email"], verified=True)

    async def set_password(self, tx: Tx, row: Row, hashed: str | None, *, keep: str | None = None) -> None:
        """Set a user's password: every session but *keep* ends, and codes that could set another are void."""
        await tx.update("users", row["id"], {"encrypted_password": hashed, "updated_at": self.now()})
        await self.codes.void(tx, row["id"], (RECOVERY,))
        await self.sessions.end(tx, row["id"], but=keep)

    async def set_email(self, tx: Tx, row: Row, email: str) -> None:
        """Give a user another address; codes that went to the old one are void.

        Raises:
            AuthError: ``email_exists``.
        """
        other = await tx.user_by_email(email)
        if other is not None and other["id"] != row["id"]:
            raise AuthError("email_exists")
        now = self.now()
        changes = {
            "email": email, "email_change": "", "email_change_confirm_status": 0, "email_confirmed_at": now,
            "updated_at": now, "is_anonymous": False,
        }  # fmt: skip
        await tx.update("users", row["id"], changes)
        await self.codes.void(tx, row["id"], (RECOVERY, CONFIRMATION, CHANGE_NEW, CHANGE_CURRENT))
        await self.set_email_identity(tx, row["id"], email, verified=True)
        changed = await tx.user(row["id"])
        if changed is not None:
            await self.set_providers(tx, changed)


def checked_metadata(data: Any, name: str = "data") -> dict[str, Any]:
    """What a user says of himself.

    Raises:
        AuthError: ``validation_failed``: it is no object, or too long.
    """
    import json

    import msgspec

    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise invalid(f"{name} has to be an object")
    try:
        msgspec.json.encode(dict(data))  # which takes no half characters
        text = json.dumps(dict(data), allow_nan=False, separators=(",", ":"))  # as it is in a token
    except (TypeError, ValueError, RecursionError) as exc:
        raise invalid(f"{name} has to be JSON") from exc
    if len(text) > METADATA_BYTES:
        raise invalid(f"{name} is longer than {METADATA_BYTES} bytes")
    if _NUL.search(text):
        raise invalid(f"{name} holds a NUL, which PostgreSQL does not store")
    return dict(data)
