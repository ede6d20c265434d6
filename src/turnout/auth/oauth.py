"""Signing in with Google and GitHub: OAuth 2.0 authorization code with PKCE and state (RFC 6749, 7636, 9700).

Two flows meet here: ours with the provider, whose state and verifier never leave the server, and
the client's with us, whose challenge waits in the same row. An address is taken from a provider only
where the provider has verified it, and joins a user only by that; an account that was waiting for
its confirmation loses its password then, as whoever set it never showed that the address was his.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec import Struct

from ..errors import DbError
from .codes import parse_challenge, s256
from .core import AuthCore
from .errors import AuthError, invalid
from .models import CallContext, User
from .redirects import with_fragment, with_query
from .store import Row, Tx, is_uuid

_TIMEOUT_S, _MOST_BYTES = 10.0, 1_000_000
_LONGEST = 4096
_SCOPE = re.compile(r"[\x20-\x7e]{0,1000}")


class Provider(Struct, frozen=True):
    """One provider: its endpoints, and our name and secret there."""

    name: str
    client_id: str
    secret: str
    authorize_url: str
    token_url: str
    user_url: str
    scopes: str


class Profile(msgspec.Struct, frozen=True):
    """Who the provider says it is; *email* is None unless the provider has verified it."""

    id: str
    email: str | None
    data: dict[str, Any]


class OAuthCalls(AuthCore):
    """The calls of ``/authorize`` and ``/callback``, and of identities."""

    def provider(self, name: str) -> Provider:
        """A provider that is set up.

        Raises:
            AuthError: ``provider_disabled``.
        """
        settings, secret = self.settings, self.secrets.get(name)
        if name == "google" and settings.google_client_id and secret:
            return Provider(
                name, settings.google_client_id, secret, settings.google_authorize_url, settings.google_token_url,
                settings.google_user_url, "openid email profile",
            )  # fmt: skip
        if name == "github" and settings.github_client_id and secret:
            return Provider(
                name, settings.github_client_id, secret, settings.github_authorize_url, settings.github_token_url,
                settings.github_user_url, "read:user user:email",
            )  # fmt: skip
        raise AuthError("provider_disabled")

    def providers(self) -> dict[str, bool]:
        """Which providers are set up."""
        found = {}
        for name in ("google", "github"):
            try:
                found[name] = bool(self.provider(name))
            except AuthError:
                found[name] = False
        return found

    async def authorize_url(
        self,
        provider: str,
        redirect_to: str | None = None,
        scopes: str | None = None,
        code_challenge: str | None = None,
        code_challenge_method: str | None = None,
        query_params: Mapping[str, str] | None = None,
        *,
        linking_user_id: str | None = None,
        context: CallContext | None = None,
    ) -> str:
        """Where a browser goes to sign in with *provider*.

        Args:
            scopes: More than the usual ones, separated by blanks.
            query_params: ``prompt``, ``login_hint``, ``hd`` and ``access_type`` are passed on.
        """
        chosen = self.provider(provider)
        challenge = parse_challenge(code_challenge, code_challenge_method)
        if any(not _SCOPE.fullmatch(text) for text in (scopes or "", *(query_params or {}).values())):
            raise invalid("scopes and parameters are short texts of visible ASCII and blanks")
        await self.limits.sign_in(context)
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        async with self.store.transaction() as tx:
            await self.codes.begin(
                tx, *(challenge or (None, None)), provider=provider, how="oauth", state=state, verifier=verifier,
                redirect_to=self.redirects.to(redirect_to), linking=linking_user_id,
            )  # fmt: skip
        passed = ("prompt", "login_hint", "hd", "access_type")
        fields = {name: value for name, value in (query_params or {}).items() if name in passed}
        wanted = dict.fromkeys([*chosen.scopes.split(), *(scopes or "").split()])
        fields |= {
            "client_id": chosen.client_id, "redirect_uri": self._callback_url(), "response_type": "code",
            "scope": " ".join(wanted), "state": state, "code_challenge": s256(verifier),
            "code_challenge_method": "S256",
        }  # fmt: skip
        return with_query(chosen.authorize_url, **fields)

    def _callback_url(self) -> str:
        return f"{self.api_url}/callback"

    async def callback(
        self,
        code: str | None,
        state: str | None,
        error: str | None = None,
        error_description: str | None = None,
        context: CallContext | None = None,
    ) -> str:
        """Where a browser goes that comes back from a provider: with a session, a code, or an error in the address."""
        flow = None
        if state and len(state) <= _LONGEST:
            async with self.store.transaction() as tx:
                flow = await self.codes.by_state(tx, state)
        if flow is None:
            return _refused(self.redirects.site_url, AuthError("bad_oauth_state"))
        target = flow["redirect_to"] or self.redirects.site_url
        pkce = flow["code_challenge"] is not None
        if error or not code or len(code) > _LONGEST:
            said = (error_description or error or "the provider sent no code")[:200]
            return _refused(target, AuthError("bad_oauth_callback", said), pkce, error or "access_denied")
        try:
            await self.limits.sign_in(context)
            chosen = self.provider(flow["provider_type"])
            tokens = await self._exchange(chosen, code, flow["verifier"])
            profile = await self._profile(chosen, tokens["access_token"])
            return await self._signed_in(flow, profile, tokens, target, context)
        except AuthError as exc:
            return _refused(target, exc, pkce)

    async def _exchange(self, provider: Provider, code: str, verifier: str) -> dict[str, Any]:
        fields = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": self._callback_url(),
            "client_id": provider.client_id, "client_secret": provider.secret, "code_verifier": verifier,
        }  # fmt: skip
        found = await _ask("POST", provider.token_url, urlencode(fields).encode())
        if not isinstance(found, dict) or not isinstance(found.get("access_token"), str):
            raise AuthError("bad_oauth_callback", "Unable to exchange external code")
        return found

    async def _profile(self, provider: Provider, access_token: str) -> Profile:
        found = await _ask("GET", provider.user_url, token=access_token)
        if not isinstance(found, dict):
            raise _no_profile()
        if provider.name == "google":
            return _google(found)
        return _github(found, await _ask("GET", f"{provider.user_url}/emails", token=access_token))

    async def _signed_in(
        self, flow: Row, profile: Profile, tokens: dict[str, Any], target: str, context: CallContext | None
    ) -> str:
        access, refresh = tokens["access_token"], tokens.get("refresh_token")
        refresh = refresh if isinstance(refresh, str) else None
        try:
            async with self.store.transaction() as tx:
                user_id = await self._user_of(tx, flow, profile)
                row = await tx.user(user_id)
                if row is None or self.sessions.is_banned(row):
                    raise AuthError("user_banned", status=403)
                if flow["code_challenge"] is None:
                    session = await self.sessions.start(tx, user_id, "oauth", context)
                    session.provider_token, session.provider_refresh_token = access, refresh
                else:
                    await tx.update(
                        "flow_state", flow["id"],
                        {"provider_access_token": access, "provider_refresh_token": refresh},
                    )  # fmt: skip
                    return with_query(target, code=await self.codes.to_code(tx, flow["id"], user_id))
                await tx.run("delete from auth.flow_state where id = :id", id=flow["id"])
        except DbError as exc:
            if exc.code != "23505":  # the same person came in twice at one moment
                raise
            raise AuthError("bad_oauth_callback", "Try again") from None
        from .service import landed

        return landed(target, session, "oauth").replace("&type=oauth", "")

    async def _user_of(self, tx: Tx, flow: Row, profile: Profile) -> str:
        """The id of the user whom *profile* is, made or joined if need be."""
        name, linking = flow["provider_type"], flow["linking_user_id"]
        known = await tx.one(
            "select * from auth.identities where provider = :name and provider_id = :id", name=name, id=profile.id
        )
        if known is not None:
            if linking is not None and known["user_id"] != linking:
                raise AuthError("identity_already_exists")
            changes = {"identity_data": profile.data, "email": profile.email, "last_sign_in_at": self.now()}
            await tx.update("identities", known["id"], changes)
            return str(known["user_id"])
        if linking is not None:
            return await self._linked(tx, linking, name, profile)
        if profile.email is None:
            raise AuthError("provider_email_needs_verification", f"Unverified email with {name}")
        row = await tx.user_by_email(profile.email)
        if row is None:
            if not self.settings.sign_ups:
                raise AuthError("signup_disabled")
            meta = {"provider": name, "providers": [name]}
            row = self.user_row(
                email=profile.email, email_confirmed_at=self.now(), raw_app_meta_data=meta,
                raw_user_meta_data=_shown(profile),
            )  # fmt: skip
            await tx.insert("users", row)
        elif row["email_confirmed_at"] is None:
            await self.confirm(tx, row, by_owner_of_password=False)
        return await self._linked(tx, row["id"], name, profile)

    async def _linked(self, tx: Tx, user_id: str, name: str, profile: Profile) -> str:
        row = await tx.user(user_id)
        if row is None:
            raise AuthError("user_not_found")
        await self.add_identity(tx, user_id, name, profile.id, profile.data, profile.email)
        if row["is_anonymous"] and profile.email and await tx.user_by_email(profile.email) is None:
            changes = {"email": profile.email, "email_confirmed_at": self.now(), "is_anonymous": False}
            await tx.update("users", user_id, changes)
        await self.set_providers(tx, row)
        return user_id

    # --- identities ---

    async def link_identity_url(
        self,
        access_token: str,
        provider: str,
        redirect_to: str | None = None,
        scopes: str | None = None,
        code_challenge: str | None = None,
        code_challenge_method: str | None = None,
        query_params: Mapping[str, str] | None = None,
        context: CallContext | None = None,
    ) -> str:
        """Where a signed-in user's browser goes to add *provider* to the ways of signing in."""
        checked = await self.sessions.check(access_token)
        return await self.authorize_url(
            provider, redirect_to, scopes, code_challenge, code_challenge_method, query_params,
            linking_user_id=checked.user.id, context=context,
        )  # fmt: skip

    async def unlink_identity(self, access_token: str, identity_id: str) -> User:
        """Take away one of several ways of signing in; without that of the address the password goes too.

        Raises:
            AuthError: ``identity_not_found``, ``single_identity_not_deletable``.
        """
        if not is_uuid(identity_id):
            raise invalid("identity_id must be an UUID")
        checked = await self.sessions.check(access_token)
        async with self.store.transaction() as tx:
            row = await tx.user(checked.user.id)
            identities = await tx.identities(checked.user.id)
            gone = next((each for each in identities if each["id"] == identity_id), None)
            if row is None or gone is None:
                raise AuthError("identity_not_found")
            if len(identities) < 2:
                raise AuthError("single_identity_not_deletable")
            await tx.run("delete from auth.identities where id = :id", id=identity_id)
            if gone["provider"] == "email":
                await tx.update("users", row["id"], {"encrypted_password": None})
            await self.set_providers(tx, row)
            return await tx.whole(await tx.user(row["id"]) or row)


def _shown(profile: Profile) -> dict[str, Any]:
    names = ("full_name", "name", "avatar_url", "user_name", "preferred_username")
    return {name: profile.data[name] for name in names if isinstance(profile.data.get(name), str)}


def _google(found: Mapping[str, Any]) -> Profile:
    if not isinstance(found.get("sub"), str) or not found["sub"]:
        raise _no_profile()
    # True and nothing like it: "false" is a text that a careless server might send.
    email = found.get("email") if found.get("email_verified") is True else None
    data = {"avatar_url": found.get("picture"), "full_name": found.get("name"), "name": found.get("name")}
    return _profile("https://accounts.google.com", found["sub"], email, data)


def _github(found: Mapping[str, Any], emails: Any) -> Profile:
    if not isinstance(found.get("id"), int) or isinstance(found["id"], bool):
        raise _no_profile()
    listed = [each for each in emails if isinstance(each, dict)] if isinstance(emails, list) else []
    good = [each for each in listed if each.get("verified") is True and isinstance(each.get("email"), str)]
    email = next((each["email"] for each in good if each.get("primary") is True), None)
    data = {
        "avatar_url": found.get("avatar_url"), "full_name": found.get("name"), "name": found.get("name"),
        "user_name": found.get("login"), "preferred_username": found.get("login"),
    }  # fmt: skip
    return _profile("https://api.github.com", str(found["id"]), email, data)


def _profile(issuer: str, provider_id: str, email: Any, data: Mapping[str, Any]) -> Profile:
    address = email.strip().lower() if isinstance(email, str) and "@" in email else None
    told = {name: value[:1000] for name, value in data.items() if isinstance(value, str)}
    about = {"iss": issuer, "sub": provider_id, "provider_id": provider_id, "email_verified": address is not None}
    return Profile(provider_id, address, {**told, **about, **({"email": address} if address else {})})


def _no_profile() -> AuthError:
    return AuthError("bad_oauth_callback", "Error getting user profile from external provider")


def _refused(target: str, exc: AuthError, pkce: bool = False, error: str = "access_denied") -> str:
    word = "server_error" if exc.status >= 500 else error[:40]
    fields = {"error": word, "error_code": exc.code, "error_description": exc.message}
    placed = with_query(target, **fields) if pkce else target
    return with_fragment(placed, **fields, sb="")


async def _ask(method: str, url: str, body: bytes | None = None, token: str | None = None) -> Any:
    """The JSON that a provider answers.

    Raises:
        AuthError: it does not answer, or with anything but 200 and JSON.
    """
    headers = {"accept": "application/json", "user-agent": "turnout"}
    if body is not None:
        headers["content-type"] = "application/x-www-form-urlencoded"
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    try:
        status, data = await asyncio.to_thread(_fetch, method, url, body, headers)
        if status == 200:
            return msgspec.json.decode(data)
    except (OSError, ValueError, msgspec.DecodeError):
        pass
    raise AuthError("bad_oauth_callback", "The external provider gave no usable answer")


def _fetch(method: str, url: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
    # http.client follows no redirects, which would take the secret elsewhere.
    from http.client import HTTPConnection, HTTPException, HTTPSConnection

    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)
    try:
        connection.request(method, parts.path + (f"?{parts.query}" if parts.query else ""), body, headers)
        response = connection.getresponse()
        data = response.read(_MOST_BYTES + 1)
    except HTTPException as exc:
        raise OSError(str(type(exc))) from None
    finally:
        connection.close()
    if len(data) > _MOST_BYTES:
        raise ValueError("too long")
    return response.status, data
