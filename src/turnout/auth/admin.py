"""What administrators do: users by the list and one by one, links without mail, invitations, bans.

Whether the caller is an administrator is not asked here: routes ask :meth:`AdminCalls.require_admin`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, LiteralString

from ..errors import DbError
from .codes import CHANGE_CURRENT, CHANGE_NEW, CONFIRMATION, PKCE, RECOVERY
from .core import AuthCore, checked_metadata
from .errors import AuthError, invalid
from .models import CallContext, Link, User
from .passwords import is_hash
from .store import Row, Tx, is_uuid, to_user

ADMIN_ROLE = "service_role"
_PAGE: LiteralString = """
    select * from auth.users where deleted_at is null order by created_at desc, id limit :many offset :skip"""
_PAGE_IDENTITIES: LiteralString = """
    select i.* from auth.identities i join (
        select id from auth.users where deleted_at is null order by created_at desc, id limit :many offset :skip
    ) p on p.id = i.user_id order by i.created_at, i.id"""
_ROLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_LINKS = {
    "signup": CONFIRMATION, "invite": CONFIRMATION, "magiclink": RECOVERY, "recovery": RECOVERY,
    "email_change_new": CHANGE_NEW, "email_change_current": CHANGE_CURRENT,
}  # fmt: skip


class AdminCalls(AuthCore):
    """The calls of ``/admin`` and ``/invite``."""

    async def require_admin(self, token: str) -> dict[str, Any]:
        """The claims of *token*, which must be the key of ``service_role``.

        Raises:
            AuthError: ``bad_jwt``, or ``not_admin``: a user's token is never an administrator's.
        """
        claims = self.tokens.verify(token, now_s=self.clock())
        if claims.get("role") != ADMIN_ROLE:
            raise AuthError("not_admin")
        return dict(claims)

    async def list_users(self, page: int = 1, per_page: int = 50) -> tuple[list[User], int]:
        """A page of users, the newest first, and how many there are in all."""
        if not 1 <= page <= 1_000_000 or not 1 <= per_page <= 1000:
            raise invalid("page and per_page have to be positive, per_page at most 1000")
        part = {"many": per_page, "skip": (page - 1) * per_page}
        rows = await self.store.rows(_PAGE, **part)
        identities: dict[str, list[Row]] = {row["id"]: [] for row in rows}
        for each in await self.store.rows(_PAGE_IDENTITIES, **part):
            identities.setdefault(each["user_id"], []).append(each)
        total = await self.store.one("select count(*) as n from auth.users where deleted_at is null")
        users = [to_user(row, identities[row["id"]]) for row in rows]
        return users, total["n"] if total else 0

    async def admin_get_user(self, user_id: str) -> User:
        """One user.

        Raises:
            AuthError: ``user_not_found``, ``validation_failed``.
        """
        _check_id(user_id)
        row = await self.store.user(user_id)
        if row is None:
            raise AuthError("user_not_found")
        return await self.store.whole(row)

    async def admin_create_user(
        self,
        *,
        email: str | None = None,
        password: str | None = None,
        password_hash: str | None = None,
        email_confirm: bool = False,
        user_metadata: Mapping[str, Any] | None = None,
        app_metadata: Mapping[str, Any] | None = None,
        role: str | None = None,
        ban_duration: str | None = None,
        id: str | None = None,
    ) -> User:
        """Make a user; nothing is mailed.

        Args:
            password_hash: bcrypt or argon2id, as another server has it.
            email_confirm: The address counts as confirmed.
            ban_duration: ``24h``, ``1h30m``; ``none``.
            id: A UUID to keep, of a user that moves here.
        """
        address = self.email(email)
        given: Row = {"email": address, "raw_user_meta_data": checked_metadata(user_metadata, "user_metadata")}
        given["raw_app_meta_data"] = {
            "provider": "email", "providers": ["email"], **checked_metadata(app_metadata, "app_metadata")
        }  # fmt: skip
        if id is not None:
            given["id"] = _check_id(id)
        given |= await self._password_change(password, password_hash)
        given |= _role_change(role)
        given |= self._ban_change(ban_duration)
        row = self.user_row(**given)
        try:
            async with self.store.transaction() as tx:
                if await tx.user_by_email(address) is not None:
                    raise AuthError("email_exists")
                await tx.insert("users", row)
                await self.set_email_identity(tx, row["id"], address, verified=False)
                if email_confirm:
                    await self.confirm(tx, row, by_owner_of_password=True)
                return await tx.whole(await tx.user(row["id"]) or row)
        except DbError as exc:
            if exc.code != "23505":
                raise
            raise AuthError("email_exists") from None

    async def admin_update_user(
        self,
        user_id: str,
        *,
        email: str | None = None,
        password: str | None = None,
        password_hash: str | None = None,
        email_confirm: bool | None = None,
        user_metadata: Mapping[str, Any] | None = None,
        app_metadata: Mapping[str, Any] | None = None,
        role: str | None = None,
        ban_duration: str | None = None,
    ) -> User:
        """Change a user, at once and without mail. A new password and a ban end his sessions."""
        _check_id(user_id)
        address = None if email is None else self.email(email)
        password_change = await self._password_change(password, password_hash)
        changes = {**_role_change(role), **self._ban_change(ban_duration)}
        async with self.store.transaction() as tx:
            row = await tx.user(user_id)
            if row is None:
                raise AuthError("user_not_found")
            for column, data in (("raw_user_meta_data", user_metadata), ("raw_app_meta_data", app_metadata)):
                if data is not None:
                    merged = {**(row[column] or {}), **checked_metadata(data, column)}
                    kept = {name: value for name, value in merged.items() if value is not None}
                    changes[column] = checked_metadata(kept, column)
            await tx.update("users", user_id, {**changes, "updated_at": self.now()})
            if password_change:
                await self.set_password(tx, row, password_change["encrypted_password"])
            if changes.get("banned_until") is not None:
                await self.sessions.end(tx, user_id)
            await self._admin_email(tx, user_id, address, email_confirm)
            return await tx.whole(await tx.user(user_id) or row)

    async def _admin_email(self, tx: Tx, user_id: str, email: str | None, confirm: bool | None) -> None:
        row = await tx.user(user_id)
        if row is not None and email is not None and email != row["email"]:
            await self.set_email(tx, row, email)
        elif row is not None and confirm and row["email"]:
            await self.confirm(tx, row, by_owner_of_password=True)

    async def admin_delete_user(self, user_id: str, *, soft: bool = False) -> None:
        """Delete a user with all sessions; *soft* keeps the id alone, so that what points to it holds."""
        _check_id(user_id)
        async with self.store.transaction() as tx:
            if await tx.user(user_id) is None:
                raise AuthError("user_not_found")
            if not soft:
                await tx.run("delete from auth.users where id = :id", id=user_id)
                return
            await self.sessions.end(tx, user_id)
            await tx.run("delete from auth.identities where user_id = :id", id=user_id)
            await tx.run("delete from auth.one_time_tokens where user_id = :id", id=user_id)
            await tx.run("delete from auth.flow_state where user_id = :id", id=user_id)
            gone: Row = {
                "deleted_at": self.now(), "email": None, "phone": None, "encrypted_password": None,
                "raw_user_meta_data": {}, "raw_app_meta_data": {}, "email_change": "",
            }  # fmt: skip
            await tx.update("users", user_id, gone)

    async def generate_link(
        self,
        type: str,
        email: str,
        *,
        password: str | None = None,
        new_email: str | None = None,
        data: Mapping[str, Any] | None = None,
        redirect_to: str | None = None,
    ) -> tuple[User, Link]:
        """A link to hand over by other means than our mail; ``signup`` and ``invite`` make the user if need be."""
        kind = _LINKS.get(type)
        if kind is None:
            raise invalid("Invalid email action link type requested")
        address = self.email(email)
        change = self.email(new_email) if kind in (CHANGE_NEW, CHANGE_CURRENT) else None
        metadata = checked_metadata(data)
        hashed = None
        if type == "signup":
            hashed = await self.passwords.hash(self.check_new_password(password))
        async with self.store.transaction() as tx:
            row = await self._linked_user(tx, type, address, hashed, metadata)
            if change is not None:
                await self._will_change(tx, row, change)
            to = change if kind == CHANGE_NEW and change else address
            code = await self.codes.issue(tx, row["id"], kind, to)
            user = await tx.whole(await tx.user(row["id"]) or row)
        target, verb = self.redirects.to(redirect_to), "email_change" if change else type
        link = Link(
            action_link=self.mail.link(verb, code.token, target), email_otp=code.otp,
            hashed_token=code.token.removeprefix(PKCE), redirect_to=target, verification_type=type,
        )  # fmt: skip
        return user, link

    async def _linked_user(self, tx: Tx, type: str, email: str, hashed: str | None, metadata: dict[str, Any]) -> Row:
        row = await tx.user_by_email(email)
        now = self.now()
        if row is not None:
            if type in ("signup", "invite") and row["email_confirmed_at"] is not None:
                raise AuthError("email_exists")
            if hashed is not None:
                await tx.update("users", row["id"], {"encrypted_password": hashed, "updated_at": now})
            if type == "invite":
                # Whoever asked for this address before was not the invited one.
                await tx.update("users", row["id"], {"encrypted_password": None, "invited_at": now})
            return row
        if type not in ("signup", "invite", "magiclink"):
            raise AuthError("user_not_found", "User with this email not found")
        row = self.user_row(email=email, encrypted_password=hashed, raw_user_meta_data=metadata)
        if type == "invite":
            row["invited_at"] = now
        await tx.insert("users", row)
        await self.set_email_identity(tx, row["id"], email, verified=False)
        return await tx.user(row["id"]) or row

    async def _will_change(self, tx: Tx, row: Row, email: str) -> None:
        if await tx.user_by_email(email) is not None:
            raise AuthError("email_exists")
        changes = {"email_change": email, "email_change_sent_at": self.now()}
        if row["email_change"] != email:
            changes["email_change_confirm_status"] = 0
            await self.codes.void(tx, row["id"], (CHANGE_NEW, CHANGE_CURRENT))
        await tx.update("users", row["id"], changes)

    async def invite(
        self,
        email: str,
        *,
        data: Mapping[str, Any] | None = None,
        redirect_to: str | None = None,
        context: CallContext | None = None,
    ) -> User:
        """Make a user and mail an invitation; who accepts it is signed in and sets a password.

        Raises:
            AuthError: ``email_exists``, or a rate limit.
        """
        address = self.email(email)
        await self.limits.mail(address)
        metadata = checked_metadata(data)
        async with self.store.transaction() as tx:
            row = await self._linked_user(tx, "invite", address, None, metadata)
            code = await self.codes.issue(tx, row["id"], CONFIRMATION, address)
            await tx.update("users", row["id"], {"confirmation_sent_at": self.now()})
            user = await tx.whole(await tx.user(row["id"]) or row)
        link = self.mail.link("invite", code.token, self.redirects.to(redirect_to))
        await self.mail.send("invite", address, code.otp, link, email=address)
        return user

    async def _password_change(self, password: str | None, password_hash: str | None) -> Row:
        if password is not None and password_hash is not None:
            raise invalid("Only a password or a password hash should be provided")
        if password is not None:
            return {"encrypted_password": await self.passwords.hash(self.check_new_password(password))}
        if password_hash is not None:
            if not is_hash(password_hash):
                raise invalid("password_hash has to be bcrypt (cost 4 to 15) or argon2id (up to 256 MiB)")
            return {"encrypted_password": password_hash}
        return {}

    def _ban_change(self, duration: str | None) -> Row:
        if duration is None:
            return {}
        if duration == "none":
            return {"banned_until": None}
        return {"banned_until": _later(self.now(), parse_duration_s(duration))}


def _later(now: datetime, seconds: float) -> datetime:
    try:
        return now + timedelta(seconds=seconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=now.tzinfo, microsecond=0)


def _role_change(role: str | None) -> Row:
    if role is None:
        return {}
    if not _ROLE.fullmatch(role) or role == ADMIN_ROLE:
        # A user's token with this role would be held back by no policy.
        raise invalid(f"role has to be the name of a role other than {ADMIN_ROLE}")
    return {"role": role}


def _check_id(user_id: str) -> str:
    if not is_uuid(user_id):
        raise AuthError("validation_failed", "user_id must be an UUID", status=404)
    return user_id


def parse_duration_s(text: str) -> float:
    """Seconds of a Go duration: ``24h``, ``1h30m``, ``2.5s``.

    Raises:
        AuthError: it is none, or not above 0.
    """
    total, at = 0.0, 0
    while at < len(text) and len(text) < 40 and (part := _DURATION.match(text, at)):
        total += float(part[1]) * _SECONDS[part[2]]
        at = part.end()
    if at != len(text) or not text or total <= 0:
        raise invalid("invalid format for ban duration: such as 24h, 1h30m, none")
    return total
