"""AuthService: everything that ``/auth/v1`` and ``create_client()`` do, without any HTTP in it.

Behaviour and words are GoTrue's, where they do not tell strangers who is registered: what is asked
for an unknown address is answered as for a known one, after as much work. An error that was noted in
the database (a wrong try, a family that ended) is raised when the note is committed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from ..errors import DbError
from .admin import AdminCalls
from .codes import (
    CHANGE_CURRENT,
    CHANGE_NEW,
    CONFIRMATION,
    KINDS,
    PKCE,
    REAUTHENTICATION,
    RECOVERY,
    parse_challenge,
)
from .core import checked_metadata
from .errors import AuthError, invalid
from .models import AuthResponse, CallContext, Identity, Message, Session, User
from .oauth import OAuthCalls
from .redirects import with_fragment, with_query
from .sessions import Checked
from .store import Row, Tx

if TYPE_CHECKING:
    from .factors import Factors

Scope = Literal["global", "local", "others"]
REAUTHENTICATE_AFTER_S = 86_400
ACCEPTED = "Confirmation link accepted. Please proceed to confirm link sent to the other email"
_HOW = {"signup": "email/signup"}  # a mail's kind -> how its flow's session is begun, where they differ


class AuthService(AdminCalls, OAuthCalls):
    """Users and sessions of one database; see :class:`AuthCore` for what it is made of."""

    @cached_property
    def factors(self) -> Factors:
        """Second factors: enrolled, challenged and shown."""
        from .factors import Factors

        return Factors(self)

    # --- signing up and in ---

    async def sign_up(
        self,
        email: str,
        password: str,
        *,
        data: Mapping[str, Any] | None = None,
        redirect_to: str | None = None,
        code_challenge: str | None = None,
        code_challenge_method: str | None = None,
        context: CallContext | None = None,
        on_new: Callable[[User], Awaitable[None]] | None = None,
    ) -> AuthResponse:
        """Make a user with a password; the session is there at once where addresses need no confirming.

        For an address that is registered already the answer is a made-up user, and nothing is sent.

        Args:
            on_new: Called with a user who was not there before, in the transaction that makes the user: what it
                writes or enqueues happens if the user is made, and only then. Never for an address that is known.

        Raises:
            AuthError: ``signup_disabled``, ``validation_failed``, ``weak_password``, a rate limit, or
                ``user_already_exists`` where addresses need no confirming.
        """
        address, challenge = self.email(email), parse_challenge(code_challenge, code_challenge_method)
        if not self.settings.sign_ups:
            raise AuthError("signup_disabled")
        self.check_new_password(password)
        metadata = checked_metadata(data)
        await self.limits.sign_in(context)
        if not self.settings.auto_confirm:
            await self.limits.mail(address)
        hashed = await self.passwords.hash(password)
        try:
            return await self._signed_up(address, hashed, metadata, redirect_to, challenge, context, on_new)
        except DbError as exc:
            if exc.code != "23505":  # somebody signed up with it at the same moment
                raise
        return await self._signed_up(address, hashed, metadata, redirect_to, challenge, context, on_new)

    async def _signed_up(
        self, email: str, hashed: str, metadata: dict[str, Any], redirect_to: str | None,
        challenge: tuple[str, str] | None, context: CallContext | None,
        on_new: Callable[[User], Awaitable[None]] | None,
    ) -> AuthResponse:  # fmt: skip
        confirmed_now = self.settings.auto_confirm
        async with self.store.transaction() as tx:
            row = await tx.user_by_email(email)
            if row is not None and row["email_confirmed_at"] is not None:
                if confirmed_now:
                    raise AuthError("user_already_exists")
                await self.codes.as_if(tx)
                return AuthResponse(self._made_up(email, metadata))
            if row is None:
                row = self.user_row(email=email, encrypted_password=hashed, raw_user_meta_data=metadata)
                await tx.insert("users", row)
                await self.set_email_identity(tx, row["id"], email, verified=False)
                if on_new is not None:
                    await on_new(await tx.whole(await tx.user(row["id"]) or row))
            else:
                # The last to sign up is the one whose code works, so it is his password that counts.
                await tx.update("users", row["id"], {"encrypted_password": hashed, "raw_user_meta_data": metadata})
                await self.sessions.end(tx, row["id"])
            row = await tx.user(row["id"]) or row
            if confirmed_now:
                await self.confirm(tx, row, by_owner_of_password=True)
                session = await self.sessions.start(tx, row["id"], "password", context)
                return AuthResponse(session.user, session)
            code = await self._new_code(tx, row, "signup", CONFIRMATION, challenge)
            await tx.update("users", row["id"], {"confirmation_sent_at": self.now()})
            user = await tx.whole(await tx.user(row["id"]) or row)
        await self.soon(lambda: self._mail("signup", email, code, redirect_to))
        return AuthResponse(user)

    def _made_up(self, email: str, metadata: dict[str, Any]) -> User:
        """What a new user would look like, of an address that is taken."""
        row, now = self.user_row(), self.now()
        data = {"sub": row["id"], "email": email, "email_verified": False, "phone_verified": False}
        identity = Identity(
            identity_id=self.user_row()["id"], id=row["id"], user_id=row["id"], identity_data=data, provider="email",
            email=email, last_sign_in_at=now, created_at=now, updated_at=now,
        )  # fmt: skip
        return User(
            id=row["id"], email=email, confirmation_sent_at=now, app_metadata=row["raw_app_meta_data"],
            user_metadata=metadata, identities=[identity], created_at=now, updated_at=now,
        )  # fmt: skip

    async def sign_in_anonymously(
        self, data: Mapping[str, Any] | None = None, context: CallContext | None = None
    ) -> AuthResponse:
        """Make a user who has no address yet, and sign him in.

        Raises:
            AuthError: ``anonymous_provider_disabled``, ``signup_disabled`` or a rate limit.
        """
        if not self.settings.anonymous:
            raise AuthError("anonymous_provider_disabled")
        if not self.settings.sign_ups:
            raise AuthError("signup_disabled")
        metadata = checked_metadata(data)
        await self.limits.anonymous(context)
        row = self.user_row(is_anonymous=True, raw_app_meta_data={}, raw_user_meta_data=metadata)
        async with self.store.transaction() as tx:
            await tx.insert("users", row)
            session = await self.sessions.start(tx, row["id"], "anonymous", context)
        return AuthResponse(session.user, session)

    async def sign_in_with_password(self, email: str, password: str, context: CallContext | None = None) -> Session:
        """A new session for who knows the password.

        Raises:
            AuthError: ``invalid_credentials``, for unknown users as for wrong passwords; only who knows
                the password is told ``email_not_confirmed`` or ``user_banned``.
        """
        address = self.email(email)
        if not isinstance(password, str):
            raise invalid("Signing in needs a password")
        await self.limits.sign_in(context, address)
        row = await self.store.user_by_email(address)
        known = None if row is None else row["encrypted_password"]
        if not await self.passwords.verify(password, known) or row is None:
            raise AuthError("invalid_credentials")
        async with self.store.transaction() as tx:
            now = await tx.user(row["id"])
            # Changed while the hash was computed, it is not the password any more.
            if now is None or now["encrypted_password"] not in (known,):
                raise AuthError("invalid_credentials")
            if self.sessions.is_banned(now):
                raise AuthError("user_banned")
            if now["email_confirmed_at"] is None:
                raise AuthError("email_not_confirmed")
            return await self.sessions.start(tx, row["id"], "password", context)

    async def refresh(self, refresh_token: str, context: CallContext | None = None) -> Session:
        """The session that *refresh_token* carries on; see :meth:`Sessions.refresh`."""
        await self.limits.refresh(context)
        return await self.sessions.refresh(refresh_token, context)

    async def exchange_code(self, auth_code: str, code_verifier: str, context: CallContext | None = None) -> Session:
        """The session at the end of a PKCE flow.

        Raises:
            AuthError: ``flow_state_not_found``, ``flow_state_expired`` (404), ``bad_code_verifier`` (400).
        """
        await self.limits.refresh(context)
        async with self.store.transaction() as tx:
            flow = await self.codes.exchange(tx, auth_code, code_verifier)
            found = flow if isinstance(flow, AuthError) else await self._from_flow(tx, flow, context)
        if isinstance(found, AuthError):
            raise found
        return found

    async def _from_flow(self, tx: Tx, flow: Row, context: CallContext | None) -> Session | AuthError:
        row = await tx.user(flow["user_id"])
        if row is None:
            return AuthError("user_not_found")
        if self.sessions.is_banned(row):
            return AuthError("user_banned")
        session = await self.sessions.start(tx, row["id"], flow["authentication_method"], context)
        session.provider_token = flow["provider_access_token"]
        session.provider_refresh_token = flow["provider_refresh_token"]
        return session

    # --- who it is ---

    async def get_user(self, access_token: str) -> User:
        """The user as of now; two reads by key, no network.

        Raises:
            AuthError: ``bad_jwt``, ``user_not_found``, ``session_not_found`` or ``user_banned``, all 403.
        """
        return (await self.sessions.check(access_token)).user

    async def check(self, access_token: str) -> Checked:
        """:meth:`get_user`, with the token's claims and the session."""
        return await self.sessions.check(access_token)

    async def claims(self, access_token: str) -> dict[str, Any]:
        """What the token says, by its signature alone: its session may have ended since.

        Raises:
            AuthError: ``bad_jwt``.
        """
        return dict(self.tokens.verify(access_token, now_s=self.clock()))

    async def sign_out(self, access_token: str, scope: Scope = "global") -> None:
        """End the user's sessions: all of them, this one (``local``), or the ``others``."""
        if scope not in ("global", "local", "others"):
            raise invalid("Unsupported logout scope")
        checked = await self.sessions.check(access_token)
        only = checked.session_id if scope == "local" else None
        but = checked.session_id if scope == "others" else None
        async with self.store.transaction() as tx:
            await self.sessions.end(tx, checked.user.id, only=only, but=but)

    # --- changing oneself ---

    async def update_user(
        self,
        access_token: str,
        *,
        email: str | None = None,
        password: str | None = None,
        data: Mapping[str, Any] | None = None,
        nonce: str | None = None,
        current_password: str | None = None,
        redirect_to: str | None = None,
        code_challenge: str | None = None,
        code_challenge_method: str | None = None,
        context: CallContext | None = None,
    ) -> User:
        """Change one's own address, password or metadata.

        A new address counts once the link or code sent to it is used; so does, by default, one sent to
        the old. A new password ends every other session.

        Args:
            data: Merged into ``user_metadata``; None removes a name.
            nonce: What :meth:`reauthenticate` sent, where the settings ask for it.
            current_password: Checked if given.
        """
        checked = await self.sessions.check(access_token)
        if email is not None or password is not None:
            await self.factors.demand(checked)
        challenge = parse_challenge(code_challenge, code_challenge_method)
        row = await self.store.user(checked.user.id)
        if row is None:
            raise AuthError("user_not_found")
        address = None if email is None else self.email(email)
        if address == row["email"]:
            address = None
        if address is not None and not self.settings.auto_confirm:
            await self.limits.code(context)
            await self.limits.mail(address)
        hashed = None
        if password is not None:
            hashed = await self._new_password(checked, row, password, nonce, current_password, context)
        mails: list[tuple[str, str, Any]] = []
        async with self.store.transaction() as tx:
            failed = await self._changed(tx, checked, nonce, hashed, data)
            if failed is None and address is not None:
                mails = await self._change_email(tx, checked.user.id, address, challenge)
            user = await tx.whole(await tx.user(checked.user.id) or row)
        if failed is not None:
            raise failed
        if mails:
            await self.soon(lambda: self._mail_change(mails, row["email"], address, redirect_to))
        return user

    async def _new_password(
        self, checked: Checked, row: Row, password: str, nonce: str | None, current: str | None,
        context: CallContext | None,
    ) -> str:  # fmt: skip
        """The hash of a password that may replace the one there is."""
        if row["email"] is None:
            raise AuthError(
                "validation_failed", "Updating password of an anonymous user without an email is not allowed",
                status=422,
            )  # fmt: skip
        self.check_new_password(password)
        if self._must_reauthenticate(checked) and not nonce:
            raise AuthError("reauthentication_needed")
        if nonce:
            await self.limits.verify(context)
        known = row["encrypted_password"]
        if current is not None:
            await self.limits.sign_in(context, row["email"])
            if not await self.passwords.verify(current, known):
                raise AuthError("invalid_credentials", "Current password is wrong")
        if known and await self.passwords.verify(password, known):
            raise AuthError("same_password")
        return await self.passwords.hash(password)

    def _must_reauthenticate(self, checked: Checked) -> bool:
        if not self.settings.secure_password_change:
            return False
        began = checked.began_at
        return began is None or self.now() - began > timedelta(seconds=REAUTHENTICATE_AFTER_S)

    async def _changed(
        self, tx: Tx, checked: Checked, nonce: str | None, hashed: str | None, data: Mapping[str, Any] | None
    ) -> AuthError | None:
        row = await tx.user(checked.user.id)
        if row is None:
            return AuthError("user_not_found")
        if hashed is not None:
            if nonce and self.settings.secure_password_change:
                kinds = (REAUTHENTICATION,)
                if await self.codes.spend_otp(tx, row["id"], row["email"], nonce, kinds) is None:
                    return AuthError("reauthentication_not_valid")
            await self.set_password(tx, row, hashed, keep=checked.session_id)
        if data is not None:
            merged = {**(row["raw_user_meta_data"] or {}), **checked_metadata(data)}
            kept = checked_metadata({name: value for name, value in merged.items() if value is not None})
            await tx.update("users", row["id"], {"raw_user_meta_data": kept, "updated_at": self.now()})
        return None

    async def _change_email(
        self, tx: Tx, user_id: str, email: str, challenge: tuple[str, str] | None
    ) -> list[tuple[str, str, Any]]:
        """Begin the change of an address; who is to get which code."""
        row = await tx.user(user_id)
        if row is None or await tx.user_by_email(email) is not None:
            raise AuthError("email_exists")
        if self.settings.auto_confirm:
            await self.set_email(tx, row, email)
            return []
        changes = {"email_change": email, "email_change_sent_at": self.now(), "email_change_confirm_status": 0}
        await tx.update("users", user_id, changes)
        await self.codes.void(tx, user_id, (CHANGE_NEW, CHANGE_CURRENT))
        if challenge is not None:
            await self.codes.begin(tx, *challenge, how="email_change", user_id=user_id)
        pkce = challenge is not None
        mails = [("email_change", email, await self.codes.issue(tx, user_id, CHANGE_NEW, email, pkce=pkce))]
        if self._changes_twice(row):
            old = row["email"]
            mails.append(("email_change", old, await self.codes.issue(tx, user_id, CHANGE_CURRENT, old, pkce=pkce)))
        return mails

    def _changes_twice(self, row: Row) -> bool:
        return self.settings.secure_email_change and bool(row["email"]) and row["email_confirmed_at"] is not None

    async def reauthenticate(self, access_token: str, context: CallContext | None = None) -> None:
        """Send a code that shows that who holds the session also reads the mail."""
        checked = await self.sessions.check(access_token)
        email = checked.user.email
        if not email:
            raise invalid("Reauthentication requires the user to have an email or a phone number")
        await self.limits.code(context)
        await self.limits.mail(email)
        async with self.store.transaction() as tx:
            code = await self.codes.issue(tx, checked.user.id, REAUTHENTICATION, email)
            await tx.update("users", checked.user.id, {"reauthentication_sent_at": self.now()})
        await self.soon(lambda: self.mail.send("reauthentication", email, code.otp, email=email))

    # --- codes and links by mail ---

    async def recover(
        self,
        email: str,
        *,
        redirect_to: str | None = None,
        code_challenge: str | None = None,
        code_challenge_method: str | None = None,
        context: CallContext | None = None,
    ) -> None:
        """Mail a code that signs in, so that a new password can be set; nothing for an unknown address."""
        address = await self._may_mail(email, context)
        challenge = parse_challenge(code_challenge, code_challenge_method)
        await self.soon(lambda: self._mail_code(address, "recovery", RECOVERY, redirect_to, challenge))

    async def otp(
        self,
        email: str,
        *,
        create_user: bool = True,
        data: Mapping[str, Any] | None = None,
        redirect_to: str | None = None,
        code_challenge: str | None = None,
        code_challenge_method: str | None = None,
        context: CallContext | None = None,
    ) -> None:
        """Mail a link and a code that sign in; an unknown address becomes a user, or nothing happens."""
        metadata = checked_metadata(data)
        address = await self._may_mail(email, context)
        challenge = parse_challenge(code_challenge, code_challenge_method)

        async def work() -> None:
            if create_user and self.settings.sign_ups:
                await self._ensure_user(address, metadata)
            await self._mail_code(address, "magiclink", RECOVERY, redirect_to, challenge)

        await self.soon(work)

    async def resend(
        self, type: str, email: str, *, redirect_to: str | None = None, code_challenge: str | None = None,
        code_challenge_method: str | None = None, context: CallContext | None = None,
    ) -> None:  # fmt: skip
        """Mail a sign-up's or an address change's code once more, if one is waited for; the old one is void."""
        if type not in ("signup", "email_change"):
            raise invalid("Missing one of these types: signup, email_change")
        address = await self._may_mail(email, context)
        challenge = parse_challenge(code_challenge, code_challenge_method)
        if type == "signup":
            await self.soon(lambda: self._mail_code(address, "signup", CONFIRMATION, redirect_to, challenge))
        else:
            await self.soon(lambda: self._resend_change(address, redirect_to, challenge))

    async def _may_mail(self, email: str, context: CallContext | None) -> str:
        address = self.email(email)
        await self.limits.code(context)
        await self.limits.mail(address)
        return address

    async def _ensure_user(self, email: str, metadata: dict[str, Any]) -> None:
        try:
            async with self.store.transaction() as tx:
                if await tx.user_by_email(email) is None:
                    row = self.user_row(email=email, raw_user_meta_data=metadata)
                    await tx.insert("users", row)
                    await self.set_email_identity(tx, row["id"], email, verified=False)
        except DbError as exc:
            if exc.code != "23505":  # it is there by now, which is what was wanted
                raise

    async def _mail_code(
        self, email: str, mail: str, kind: str, redirect_to: str | None, challenge: tuple[str, str] | None
    ) -> None:
        async with self.store.transaction() as tx:
            row = await tx.user_by_email(email)
            if row is None or (kind == CONFIRMATION and row["email_confirmed_at"] is not None):
                return
            code = await self._new_code(tx, row, mail, kind, challenge)
            sent = "confirmation_sent_at" if kind == CONFIRMATION else "recovery_sent_at"
            await tx.update("users", row["id"], {sent: self.now()})
        await self._mail(mail, email, code, redirect_to)

    async def _resend_change(self, email: str, redirect_to: str | None, challenge: tuple[str, str] | None) -> None:
        async with self.store.transaction() as tx:
            row = await tx.user_by_email(email)
            if row is None or not row["email_change"] or await tx.user_by_email(row["email_change"]) is not None:
                return
            mails = await self._change_email(tx, row["id"], row["email_change"], challenge)
        await self._mail_change(mails, row["email"], row["email_change"], redirect_to)

    async def _new_code(self, tx: Tx, row: Row, mail: str, kind: str, challenge: tuple[str, str] | None) -> Any:
        if challenge is not None:
            await self.codes.begin(tx, *challenge, how=_HOW.get(mail, mail), user_id=row["id"])
        return await self.codes.issue(tx, row["id"], kind, row["email"], pkce=challenge is not None)

    async def _mail(self, mail: str, email: str, code: Any, redirect_to: str | None) -> None:
        link = self.mail.link(mail, code.token, self.redirects.to(redirect_to))
        await self.mail.send(mail, email, code.otp, link, email=email)

    async def _mail_change(
        self, mails: list[tuple[str, str, Any]], old: str | None, new: str | None, redirect_to: str | None
    ) -> None:
        target = self.redirects.to(redirect_to)
        for kind, to, code in mails:
            link = self.mail.link(kind, code.token, target)
            await self.mail.send(kind, to, code.otp, link, email=old or "", new_email=new)

    # --- coming back with a code or a link ---

    async def verify(
        self,
        type: str,
        *,
        token: str | None = None,
        token_hash: str | None = None,
        email: str | None = None,
        context: CallContext | None = None,
    ) -> Session | Message:
        """The session for a code that was mailed: *token* with *email*, or the *token_hash* of its link.

        A Message instead where a change of address waits for the other one's code.

        Raises:
            AuthError: ``otp_expired`` (403), whatever was wrong; ``validation_failed``.
        """
        kinds = KINDS.get(type)
        if kinds is None:
            raise invalid("Verify requires a verification type")
        if token_hash:
            if token or email:
                raise invalid("Only the token_hash and type should be provided")
        elif not token or not email:
            raise invalid("Verify requires a token and an email, or a token_hash")
        address = self.email(email) if email and not token_hash else None
        await self.limits.verify(context)
        async with self.store.transaction() as tx:
            spent = await self._spend(tx, type, token_hash, token, address)
            if isinstance(spent, tuple):
                found = spent[1] or await self.sessions.start(tx, spent[0], "otp", context)
        if isinstance(spent, AuthError):
            raise spent
        return found

    async def verify_link(
        self, token: str, type: str, redirect_to: str | None = None, context: CallContext | None = None
    ) -> str:
        """Where a browser that followed a mail's link goes: with a session, a code, or an error in the address."""
        target = self.redirects.to(redirect_to)
        try:
            await self.limits.verify(context)
            if type not in KINDS:
                raise invalid("Verify requires a verification type")
            async with self.store.transaction() as tx:
                found = await self._spend(tx, type, token, None, None)
                place = await self._landing(tx, found, token, type, target, context)
        except AuthError as exc:
            return failed_at(target, exc)
        return place

    async def _landing(
        self, tx: Tx, found: tuple[str, Message | None] | AuthError, token: str, type: str, target: str,
        context: CallContext | None,
    ) -> str:  # fmt: skip
        if isinstance(found, AuthError):
            return failed_at(target, found)
        user_id, message = found
        if message is not None:
            return with_fragment(target, message=message.msg, sb="")
        if not token.startswith(PKCE):
            return landed(target, await self.sessions.start(tx, user_id, "otp", context), type)
        flow = await self.codes.latest(tx, user_id, _HOW.get(type, type))
        if flow is None:
            return failed_at(target, AuthError("flow_state_not_found"))
        return with_query(target, code=await self.codes.to_code(tx, flow["id"], user_id))

    async def _spend(
        self, tx: Tx, type: str, token_hash: str | None, token: str | None, email: str | None
    ) -> tuple[str, Message | None] | AuthError:
        """The user whose code it was, and what is still to be done; an error is given back, so that tries count."""
        kinds = KINDS[type]
        if token_hash is not None:
            code = await self.codes.spend_token(tx, token_hash, kinds)
        else:
            code = await self._spend_otp(tx, email or "", token or "", kinds)
        row = None if code is None else await tx.user(code["user_id"])
        if code is None or row is None:
            return AuthError("otp_expired")
        if self.sessions.is_banned(row):
            return AuthError("user_banned", status=403)
        if code["token_type"] in (CHANGE_NEW, CHANGE_CURRENT):
            return await self._email_changed(tx, row)
        if code["relates_to"] != row["email"]:
            return AuthError("otp_expired")
        await self.confirm(tx, row, by_owner_of_password=code["token_type"] == CONFIRMATION)
        return row["id"], None

    async def _spend_otp(self, tx: Tx, email: str, otp: str, kinds: tuple[str, ...]) -> Row | None:
        if CHANGE_NEW in kinds:
            rows = await tx.rows(
                "select * from auth.users where email_change = :email or email = :email order by id for update",
                email=email,
            )
        else:
            row = await tx.user_by_email(email)
            rows = [] if row is None else [row]
        if not rows:
            await self.codes.as_if(tx)
        found = None
        for row in rows:  # several may want to change to one address
            found = await self.codes.spend_otp(tx, row["id"], email, otp, kinds) if found is None else found
        return found

    async def _email_changed(self, tx: Tx, row: Row) -> tuple[str, Message | None] | AuthError:
        if self._changes_twice(row) and not row["email_change_confirm_status"]:
            await tx.update("users", row["id"], {"email_change_confirm_status": 1, "updated_at": self.now()})
            return row["id"], Message(ACCEPTED)
        if not row["email_change"]:
            return AuthError("otp_expired")
        try:
            await self.set_email(tx, row, row["email_change"])
        except AuthError as exc:  # taken in the meantime
            return exc
        return row["id"], None


def landed(target: str, session: Session, type: str) -> str:
    """*target* with a session in its fragment."""
    fields = {
        "access_token": session.access_token, "expires_at": str(session.expires_at),
        "expires_in": str(session.expires_in), "refresh_token": session.refresh_token, "token_type": "bearer",
        "type": type,
    }  # fmt: skip
    if session.provider_token:
        fields["provider_token"] = session.provider_token
    if session.provider_refresh_token:
        fields["provider_refresh_token"] = session.provider_refresh_token
    return with_fragment(target, **fields, sb="")


def failed_at(target: str, exc: AuthError) -> str:
    """*target* with an error in its fragment."""
    word = "server_error" if exc.status >= 500 else "access_denied"
    said = "Email link is invalid or has expired" if exc.code == "otp_expired" else exc.message
    return with_fragment(target, error=word, error_code=exc.code, error_description=said, sb="")


__all__ = ["REAUTHENTICATE_AFTER_S", "AuthService", "failed_at", "landed"]
