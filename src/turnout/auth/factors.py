"""Second factors: authenticator apps, in GoTrue's tables and words.

A factor is enrolled, then proven once with a code, and from then on asked for: the session that
shows a code is ``aal2``. Secrets are stored encrypted with a key derived from the signing keys, so
a stolen table makes no codes. A code is good once; five wrong ones void their challenge, and the
limit of verifications holds for all challenges together. The tables are made when a first factor is.
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, LiteralString
from urllib.parse import urlsplit

import msgspec

from . import totp
from .errors import AuthError, invalid
from .models import CallContext, Session, User
from .qr import MOST_BYTES, to_svg
from .sessions import Checked
from .store import Row, Tx, is_uuid, moment, now

if TYPE_CHECKING:
    from .service import AuthService

CHALLENGE_S = 300
MOST_FACTORS = 10
MOST_TRIES = 5
_NONCE_BYTES = 12

_TABLES: tuple[LiteralString, ...] = (
    """create table if not exists auth.mfa_factors (
        id uuid primary key, user_id uuid not null references auth.users(id) on delete cascade,
        friendly_name text, factor_type text not null, status text not null, created_at timestamptz not null,
        updated_at timestamptz not null, secret text, last_challenged_at timestamptz, last_step bigint)""",
    "create index if not exists auth_mfa_factors_user_id_idx on auth.mfa_factors (user_id)",
    """create table if not exists auth.mfa_challenges (
        id uuid primary key, factor_id uuid not null references auth.mfa_factors(id) on delete cascade,
        created_at timestamptz not null, verified_at timestamptz, ip_address text,
        attempts integer not null default 0)""",
    "create index if not exists auth_mfa_challenges_factor_id_idx on auth.mfa_challenges (factor_id)",
)
_IN_POSTGRES: LiteralString = "select 1 as there where to_regclass('auth.mfa_factors') is not null"
_IN_SQLITE: LiteralString = "select 1 as there from sqlite_schema where name = 'auth_mfa_factors'"
_OF_USER: LiteralString = "select * from auth.mfa_factors where user_id = :user_id order by created_at, id"
_ONE: LiteralString = "select * from auth.mfa_factors where id = :id and user_id = :user_id"
_CHALLENGE: LiteralString = "select * from auth.mfa_challenges where id = :id and factor_id = :factor_id"


class Factors:
    """The factors of one project's users."""

    def __init__(self, service: AuthService) -> None:
        self._service = service
        self._sessions, self._store = service.sessions, service.store
        self._issuer = urlsplit(service.redirects.site_url).hostname or "turnout"
        self._secrets = [_cipher(key.derived(b"factors")) for key in service.keys.ring if key.secret]
        self._prepared: object = None

    # -- the signed-in user's

    async def enroll(self, access_token: str, *, name: str | None, issuer: str | None) -> dict[str, Any]:
        """A new factor, unproven yet, with the secret that an app is given; it is shown this once.

        Raises:
            AuthError: a proven factor is there and was not asked for; too many; the name is taken.
        """
        checked = await self._sessions.check(access_token)
        await self._prepare()
        secret, factor_id, moment_ = totp.make_secret(), str(uuid.uuid4()), now()
        uri = totp.to_uri(secret, checked.user.email or checked.user.id, issuer or self._issuer)
        if len(uri) > MOST_BYTES:
            raise invalid("issuer is too long for a QR code")
        async with self._store.transaction() as tx:
            await tx.user(checked.user.id)  # two at once would both count nine
            rows = await tx.rows(_OF_USER, user_id=checked.user.id)
            _demand_aal2(checked.claims, rows, "enroll a new factor")
            if len(rows) >= MOST_FACTORS:
                raise AuthError("too_many_enrolled_mfa_factors")
            if name and any(row["friendly_name"] == name for row in rows):
                raise AuthError("mfa_factor_name_conflict")
            row = {
                "id": factor_id, "user_id": checked.user.id, "friendly_name": name or "", "factor_type": "totp",
                "status": "unverified", "created_at": moment_, "updated_at": moment_,
                "secret": self._sealed(secret, factor_id),
            }  # fmt: skip
            await tx.insert("mfa_factors", row)
        return {
            "id": factor_id,
            "type": "totp",
            "friendly_name": name or "",
            "totp": {"qr_code": to_svg(uri), "secret": totp.to_base32(secret), "uri": uri},
        }

    async def challenge(self, access_token: str, factor_id: str, context: CallContext | None) -> dict[str, Any]:
        """The right to try a code of a factor, for five minutes and five tries."""
        await self._service.limits.verify(context)
        checked = await self._sessions.check(access_token)
        await self._prepare()
        challenge_id, moment_ = str(uuid.uuid4()), now()
        async with self._store.transaction() as tx:
            await _factor(tx, factor_id, checked.user.id)
            await tx.run(_DELETE_OLD, old=moment_ - timedelta(seconds=CHALLENGE_S), factor_id=factor_id)
            row = {"id": challenge_id, "factor_id": factor_id, "created_at": moment_, "attempts": 0}
            await tx.insert("mfa_challenges", {**row, "ip_address": context and context.ip})
            await tx.update("mfa_factors", factor_id, {"last_challenged_at": moment_})
        return {"id": challenge_id, "type": "totp", "expires_at": int(time.time()) + CHALLENGE_S}

    async def verify(
        self, access_token: str, factor_id: str, challenge_id: str, code: str, context: CallContext | None
    ) -> Session:
        """The session, ``aal2`` from now on, for the right code; the factor is proven with it.

        Raises:
            AuthError: ``mfa_challenge_expired`` or ``mfa_verification_failed``.
        """
        await self._service.limits.verify(context)
        checked = await self._sessions.check(access_token)
        await self._prepare()
        async with self._store.transaction() as tx:
            # An error that were raised in here would undo the count of tries.
            found = await self._verified(tx, checked, factor_id, challenge_id, code)
        if isinstance(found, AuthError):
            raise found
        return found

    async def _verified(
        self, tx: Tx, checked: Checked, factor_id: str, challenge_id: str, code: str
    ) -> Session | AuthError:
        factor = await _factor(tx, factor_id, checked.user.id)
        challenge = await tx.one(_CHALLENGE, id=challenge_id, factor_id=factor_id) if is_uuid(challenge_id) else None
        if challenge is None:
            return AuthError("mfa_factor_not_found", "MFA factor with the provided challenge ID not found")
        made = moment(challenge["created_at"])
        if made is None or now() - made > timedelta(seconds=CHALLENGE_S) or challenge["attempts"] >= MOST_TRIES:
            await tx.run("delete from auth.mfa_challenges where id = :id", id=challenge_id)
            return AuthError("mfa_challenge_expired")
        step = totp.matching_step(self._opened(factor["secret"], factor_id), code, time.time())
        if step is None or step <= (factor["last_step"] or 0):
            await tx.update("mfa_challenges", challenge_id, {"attempts": challenge["attempts"] + 1})
            return AuthError("mfa_verification_failed")
        await tx.run("delete from auth.mfa_challenges where factor_id = :factor_id", factor_id=factor_id)
        changes = {"status": "verified", "last_step": step, "updated_at": now()}
        await tx.update("mfa_factors", factor_id, changes)
        if factor["status"] != "verified":
            # From now on a password alone is not enough, so what it opened before is closed.
            await self._sessions.end(tx, checked.user.id, but=checked.session_id)
        session = await self._sessions.raise_level(tx, checked, "totp", factor_id)
        return msgspec.structs.replace(session, user=await self._with_factors(tx, session.user))

    async def unenroll(self, access_token: str, factor_id: str) -> dict[str, Any]:
        """Take a factor away; a proven one only from a session that has shown it."""
        checked = await self._sessions.check(access_token)
        await self._prepare()
        async with self._store.transaction() as tx:
            factor = await _factor(tx, factor_id, checked.user.id)
            _demand_aal2(checked.claims, [factor], "unenroll a verified factor")
            await tx.run("delete from auth.mfa_factors where id = :id", id=factor_id)
        return {"id": factor_id}

    async def demand(self, checked: Checked) -> None:
        """Refuse a session that has not shown its user's proven factor, where there is one.

        Raises:
            AuthError: ``insufficient_aal``.
        """
        if await self._exist():
            rows = await self._store.rows(_OF_USER, user_id=checked.user.id)
            _demand_aal2(checked.claims, rows, "update email or password when MFA is enabled")

    # -- anybody's

    async def of_user(self, user_id: str) -> list[dict[str, Any]]:
        """The factors of a user, without their secrets."""
        if not await self._exist():
            return []
        return [_shown(row) for row in await self._store.rows(_OF_USER, user_id=user_id)]

    async def delete(self, user_id: str, factor_id: str) -> dict[str, Any]:
        """Take a factor away, as an administrator does for somebody whose phone is gone."""
        await self._prepare()
        async with self._store.transaction() as tx:
            factor = await _factor(tx, factor_id, user_id)
            await tx.run("delete from auth.mfa_factors where id = :id", id=factor_id)
        return _shown(factor)

    async def fill(self, user: User) -> User:
        """*user* with the factors, where there are any."""
        return msgspec.structs.replace(user, factors=await self.of_user(user.id) or None)

    async def _with_factors(self, tx: Tx, user: User) -> User:
        rows = await tx.rows(_OF_USER, user_id=user.id)
        return msgspec.structs.replace(user, factors=[_shown(row) for row in rows])

    # -- shared

    async def _exist(self) -> bool:
        """Whether the tables are there: reading makes none."""
        await self._store.prepare()
        if self._prepared is not self._store.database.engine and await self._store.one(
            _IN_POSTGRES if self._store.database.dialect == "postgres" else _IN_SQLITE
        ):
            self._prepared = self._store.database.engine
        return self._prepared is self._store.database.engine

    async def _prepare(self) -> None:
        await self._store.prepare()
        engine = self._store.database.engine
        if self._prepared is engine:
            return
        async with self._store.transaction() as tx:
            for statement in _TABLES:
                await tx.run(statement)
        self._prepared = engine

    def _sealed(self, secret: bytes, factor_id: str) -> str:
        """*secret* as the table holds it, bound to its row."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return (nonce + bytes(self._secrets[0].encrypt(nonce, secret, factor_id.encode()))).hex()

    def _opened(self, stored: str, factor_id: str) -> bytes:
        from cryptography.exceptions import InvalidTag

        sealed = bytes.fromhex(stored)
        for cipher in self._secrets:
            try:
                return bytes(cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], factor_id.encode()))
            except InvalidTag:
                continue
        raise AuthError("mfa_factor_not_found", "The factor was enrolled under a key that is gone")


_DELETE_OLD: LiteralString = "delete from auth.mfa_challenges where factor_id = :factor_id and created_at < :old"


def _cipher(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


async def _factor(tx: Tx, factor_id: str, user_id: str) -> Row:
    """The row of a factor of *user_id*.

    Raises:
        AuthError: 404, it has none such.
    """
    row = await tx.one(_ONE, id=factor_id, user_id=user_id) if is_uuid(factor_id) else None
    if row is None:
        raise AuthError("mfa_factor_not_found")
    return row


def _demand_aal2(claims: Mapping[str, Any], factors: list[Row], to_do: str) -> None:
    if claims.get("aal") != "aal2" and any(row["status"] == "verified" for row in factors):
        raise AuthError("insufficient_aal", f"AAL2 required to {to_do}")


def _shown(row: Row) -> dict[str, Any]:
    shown = ("id", "friendly_name", "factor_type", "status", "created_at", "updated_at", "last_challenged_at")
    return {name: row[name] for name in shown}
