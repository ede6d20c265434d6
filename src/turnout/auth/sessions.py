"""Sessions: begun by a sign-in, carried on by refresh tokens, ended by signing out.

A refresh token is used once and followed by its child, which is computed from it and a key, so a
client that lost the answer gets the same one again and the table holds nothing that could be
used. A token that was followed long ago is either stolen or was stolen from: its session ends,
and that is committed before the error is raised, since an error undoes a transaction.
"""

from __future__ import annotations

import hmac
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from ..config import AuthConfig
from .errors import AuthError
from .models import CallContext, Session, User
from .store import Row, Store, Tx, is_uuid, joined, moment
from .tokens import Tokens, child_of, first_refresh_token, stored

_LONGEST_CHAIN = 64  # refreshes within the reuse interval; more is no client that lost an answer

_TOKEN = "select * from auth.refresh_tokens where token = :hashed"
_ACTIVE = "select * from auth.refresh_tokens where session_id = :session_id and revoked = false"
_CHILD = "select token from auth.refresh_tokens where session_id = :session_id and parent = :parent"
_SESSION = "select * from auth.sessions where id = :id for update"


class Checked(msgspec.Struct, frozen=True):
    """A token that holds: its claims, its user as of now, and when its session began."""

    claims: dict[str, Any]
    user: User
    session_id: str
    began_at: datetime | None


class Sessions:
    """The sessions in *store*.

    Args:
        clock: Unix seconds.
    """

    def __init__(self, store: Store, tokens: Tokens, settings: AuthConfig, clock: Callable[[], float]) -> None:
        self.store, self.tokens, self.settings, self.clock = store, tokens, settings, clock

    def now(self) -> datetime:
        """This moment."""
        return datetime.fromtimestamp(self.clock(), UTC)

    async def start(self, tx: Tx, user_id: str, method: str, context: CallContext | None) -> Session:
        """A new session of a user who has shown who he is by *method* (``password``, ``otp``, ``oauth`` …)."""
        now, token, session_id = self.now(), first_refresh_token(), str(uuid.uuid4())
        amr = [{"method": method, "timestamp": int(now.timestamp())}]
        longest_s = self.settings.session_max_s
        session = {
            "id": session_id, "user_id": user_id, "created_at": now, "updated_at": now, "refreshed_at": now,
            "aal": "aal1", "amr": amr, "not_after": None if longest_s is None else now + timedelta(seconds=longest_s),
            "user_agent": _short(context.user_agent if context else None),
            "ip": _short(context.ip if context else None),
        }  # fmt: skip
        await tx.insert("sessions", session)
        await self._add_token(tx, session_id, user_id, token, None)
        await tx.update("users", user_id, {"last_sign_in_at": now, "updated_at": now})
        row = await tx.user(user_id)
        if row is None:
            raise AuthError("user_not_found")
        return self._signed(await tx.whole(row), session_id, "aal1", amr, token)

    async def _add_token(self, tx: Tx, session_id: str, user_id: str, token: str, parent: str | None) -> None:
        now = self.now()
        row = {
            "id": str(uuid.uuid4()), "token": stored(token), "user_id": user_id, "revoked": False, "created_at": now,
            "updated_at": now, "parent": parent, "session_id": session_id,
        }  # fmt: skip
        await tx.insert("refresh_tokens", row)

    def _signed(self, user: User, session_id: str, aal: str, amr: list[Any], token: str) -> Session:
        claims = {
            "sub": user.id, "email": user.email, "phone": user.phone, "app_metadata": user.app_metadata,
            "user_metadata": user.user_metadata, "role": user.role, "aal": aal, "amr": amr,
            "session_id": session_id, "is_anonymous": user.is_anonymous,
        }  # fmt: skip
        access, expires = self.tokens.sign(claims, now_s=self.clock())
        return Session(
            access_token=access, refresh_token=token, expires_in=self.tokens.lifetime_s, expires_at=expires, user=user
        )

    # --- checking ---

    async def check(self, access_token: str) -> Checked:
        """Who holds *access_token*: as the database has it now, whatever the token says.

        Raises:
            AuthError: ``bad_jwt``, ``user_not_found``, ``session_not_found`` or ``user_banned``, all 403.
        """
        claims = self.tokens.verify(access_token, now_s=self.clock())
        user_id, session_id = claims.get("sub"), claims.get("session_id")
        if not is_uuid(user_id):
            raise AuthError("bad_jwt", "invalid claim: missing sub claim")
        if not is_uuid(session_id):
            raise AuthError("session_not_found")
        rows = await self.store.with_session(str(user_id), str(session_id))
        if not rows or rows[0]["deleted_at"] is not None:
            raise AuthError("user_not_found", "User from sub claim in JWT does not exist", status=403)
        row = rows[0]
        if row["session_id"] is None or self._over(row, "session_"):
            raise AuthError("session_not_found")
        if self.is_banned(row):
            raise AuthError("user_banned", status=403)
        return Checked(claims, joined(rows), row["session_id"], moment(row["session_created_at"]))

    def _over(self, row: Row, prefix: str = "") -> bool:
        now, end = self.now(), moment(row[prefix + "not_after"])
        if end is not None and end <= now:
            return True
        idle_s, last = self.settings.session_idle_s, moment(row[prefix + "refreshed_at"])
        return idle_s is not None and last is not None and last + timedelta(seconds=idle_s) <= now

    def is_banned(self, row: Row) -> bool:
        """Whether the user of *row* is banned now."""
        until = moment(row["banned_until"])
        return until is not None and until > self.now()

    # --- refreshing ---

    async def refresh(self, token: str, context: CallContext | None) -> Session:
        """The session that *token* carries on, with the token that follows it.

        Raises:
            AuthError: ``refresh_token_not_found``, ``refresh_token_already_used``, ``session_expired``
                or ``user_banned``, all 400.
        """
        if not isinstance(token, str) or not 0 < len(token) <= 256:
            raise AuthError("refresh_token_not_found")
        async with self.store.transaction() as tx:
            found = await self._refreshed(tx, token, context)
        if isinstance(found, AuthError):
            raise found
        return found

    async def _refreshed(self, tx: Tx, token: str, context: CallContext | None) -> Session | AuthError:
        """What to answer: an error is given back, so that what was done about it is kept."""
        hashed = stored(token)
        row = await tx.one(_TOKEN, hashed=hashed)
        if row is None:
            return AuthError("refresh_token_not_found")
        user = await tx.user(row["user_id"])
        session = await tx.one(_SESSION, id=row["session_id"])
        row = await tx.one(_TOKEN, hashed=hashed)  # again: who had the lock before us may have used it
        if session is None or row is None or user is None:
            return AuthError("refresh_token_not_found")
        if self._over(session):
            return AuthError("session_expired")
        if self.is_banned(user):
            return AuthError("user_banned")
        following = await self._following(tx, row, token)
        if following is None:
            await self._end_family(tx, session["id"])
            return AuthError("refresh_token_already_used")
        now = self.now()
        changes: Row = {"refreshed_at": now, "updated_at": now}
        if context is not None:
            changes |= {"ip": _short(context.ip), "user_agent": _short(context.user_agent)}
        await tx.update("sessions", session["id"], changes)
        return self._signed(await tx.whole(user), session["id"], session["aal"], session["amr"] or [], following)

    async def _following(self, tx: Tx, row: Row, token: str) -> str | None:
        """The token to go on with, or None where *token* should not have come again."""
        if not row["revoked"]:
            child = child_of(token, self.tokens.keys.rotation[0])
            await tx.update("refresh_tokens", row["id"], {"revoked": True, "updated_at": self.now()})
            await self._add_token(tx, row["session_id"], row["user_id"], child, row["token"])
            return child
        active = await tx.one(_ACTIVE, session_id=row["session_id"])
        if active is None:
            return None
        used_at = moment(row["updated_at"])
        recent = used_at is not None and self.now() - used_at <= timedelta(seconds=self.settings.refresh_reuse_s)
        if active["parent"] != row["token"] and not recent:
            return None
        return await self._again(tx, row, token, active["token"])

    async def _again(self, tx: Tx, row: Row, token: str, active: str) -> str | None:
        """The active token, recomputed from one before it."""
        at = row["token"]
        for _ in range(_LONGEST_CHAIN):
            child = await tx.one(_CHILD, session_id=row["session_id"], parent=at)
            if child is None:
                return None
            at = child["token"]
            candidates = [child_of(token, key) for key in self.tokens.keys.rotation]
            matching = [each for each in candidates if hmac.compare_digest(stored(each), at)]
            if not matching:  # the key that made it is gone
                return None
            token = matching[0]
            if hmac.compare_digest(at, active):
                return token
        return None

    async def _end_family(self, tx: Tx, session_id: str) -> None:
        now = self.now()
        await tx.run(
            "update auth.refresh_tokens set revoked = true, updated_at = :now where session_id = :id", id=session_id,
            now=now,
        )  # fmt: skip
        await tx.update("sessions", session_id, {"not_after": now, "updated_at": now})

    # --- a second factor ---

    async def raise_level(self, tx: Tx, checked: Checked, method: str, factor_id: str) -> Session:
        """The same session, ``aal2`` by *method* from now on, with tokens that say so.

        The tokens before are gone rather than used up: one that comes again, from another tab, is
        unknown then, and no sign of theft that would end the session.
        """
        row = await tx.one(_SESSION, id=checked.session_id)
        user = await tx.user(checked.user.id)
        if row is None or user is None:
            raise AuthError("session_not_found")
        now, token = self.now(), first_refresh_token()
        kept = [entry for entry in row["amr"] or [] if entry.get("method") != method]
        amr = [*kept, {"method": method, "timestamp": int(now.timestamp())}]
        await tx.run("delete from auth.refresh_tokens where session_id = :id", id=row["id"])
        await self._add_token(tx, row["id"], user["id"], token, None)
        changes = {"aal": "aal2", "amr": amr, "factor_id": factor_id, "refreshed_at": now, "updated_at": now}
        await tx.update("sessions", row["id"], changes)
        return self._signed(await tx.whole(user), row["id"], "aal2", amr, token)

    # --- ending ---

    async def end(self, tx: Tx, user_id: str, *, only: str | None = None, but: str | None = None) -> None:
        """End all sessions of a user, *only* one, or all *but* one; their refresh tokens go with them."""
        if only is not None:
            await tx.run("delete from auth.sessions where user_id = :user_id and id = :id", user_id=user_id, id=only)
        elif but is not None:
            await tx.run("delete from auth.sessions where user_id = :user_id and id <> :id", user_id=user_id, id=but)
        else:
            await tx.run("delete from auth.sessions where user_id = :user_id", user_id=user_id)


def _short(text: str | None) -> str | None:
    return None if text is None else "".join(each for each in text[:500] if each.isprintable())
