"""``create_client()``: who sends the request in flight, and what they may see.

    supabase = await create_client()
    user = (await supabase.auth.get_user()).user

With ``SUPABASE_URL`` set it is the official client of hosted Supabase (``hosted.py``); without, it is the client
below, on the project's own users and database. Both have the same attributes, and so a route needs no change.
Here nothing goes over a network, and rows are seen through their policies. What is refused is an AuthError or a
DbError, whose ``message``, ``code`` and ``status`` are those of Supabase's errors.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from ..context import current_request
from ..db import Scope, db
from ..db.errors import error
from ..env import env
from ..errors import ConfigError
from ..http.request import Request
from . import auth_service
from .cookies import VERIFIER, Jar, storage_key
from .current import Current
from .errors import AuthError
from .models import AuthResponse, CallContext, Identity, Link, Message, Session, User, UserResponse
from .query import Builder, Data, Table

if TYPE_CHECKING:
    from .service import AuthService
    from .service import Scope as SignOutScope

_RECOVERY = "/PASSWORD_RECOVERY"  # what clients write behind a verifier, to know the flow again


class OAuthResponse(msgspec.Struct):
    """Where to send the browser to sign in with *provider*."""

    provider: str
    url: str


class OtpResponse(msgspec.Struct):
    """A mail is on its way, or would be if there were such a user."""

    user: None = None
    session: None = None
    message_id: str | None = None


class Identities(msgspec.Struct):
    """The ways in which the user signs in."""

    identities: list[Identity]


class GeneratedLink(msgspec.Struct):
    """A link in place of a mail: ``properties`` holds it, its code and its hash."""

    properties: Link
    user: User


async def create_client() -> Client | Any:
    """A client for the user of the request in flight: by its Bearer token, or else by its session cookies.

    Raises:
        Forbidden: it has session cookies, and another site's page sent it.
        ServiceUnavailable, DbError: who it is cannot be found out right now; this never looks like signed out.
        TurnoutError: there is no request here.
    """
    request = current_request()
    if env.get("SUPABASE_URL"):
        from .hosted import create_hosted_client

        return await create_hosted_client(request)
    return await create_local_client(request)


async def create_local_client(request: Request) -> Client:
    """``create_client()`` on the project's own users."""
    service = auth_service()
    current = local_session(request, service)
    client = Client(Auth(service, current), await _scope(service, current))
    client.auth._client = client
    return client


async def create_admin_client() -> Client | Any:
    """A client that no row policy holds back, with ``auth.admin``; for programs, never on a user's word.

    Raises:
        ConfigError: hosted Supabase is used and ``SUPABASE_SERVICE_ROLE_KEY`` is not set.
    """
    if env.get("SUPABASE_URL"):
        from .hosted import create_hosted_admin

        return await create_hosted_admin()
    service = auth_service()
    return Client(Auth(service, None, Admin(service)), Scope("service_role", {}))


def local_session(request: Request, service: AuthService) -> Current:
    """What *request* says about its user; one object a request."""
    if isinstance(request.auth_session, Current):
        return request.auth_session
    context = CallContext(request.ip, request.headers.get("user-agent"))

    async def refresh(token: str) -> str | None:
        try:
            return _text(await service.refresh(token, context=context))
        except AuthError as exc:
            if is_over(exc):
                return None
            raise

    settings = service.settings
    jar = Jar(request, storage_key(request.url.hostname), http_only=not settings.browser_client)
    current = request.auth_session = Current(request, jar, refresh)
    return current


def is_over(exc: AuthError) -> bool:
    """Whether *exc* says that the session is no good, and not that something else went wrong."""
    return exc.status < 500 and exc.status != 429


async def _scope(service: AuthService, current: Current) -> Scope | AuthError:
    """Whose rows may be seen; an AuthError in place of it is raised when rows are asked for."""
    token = await current.access_token()
    if token is None:
        return Scope("anon", {})
    try:
        claims = await service.claims(token)
    except AuthError as exc:
        return exc
    return Scope(str(claims.get("role") or "anon"), claims)


class Client:
    """What ``create_client()`` gives without hosted Supabase.

    Attributes:
        auth: Signing in and out.
    """

    def __init__(self, auth: Auth, scope: Scope | AuthError) -> None:
        self.auth, self._scope = auth, scope

    def __repr__(self) -> str:
        return "<Client of the project's own users>"

    @property
    def _data(self) -> Data:
        if isinstance(self._scope, AuthError):
            # As PostgREST says it. Falling back to anon would show a user with a bad token an empty page.
            raise error("PGRST301", self._scope.message, status=401)
        return Data(db.scoped(self._scope))

    def table(self, table_name: str) -> Table:
        """Begin a query on a table; the user's row policies hold."""
        return self._data.from_(table_name)

    from_ = table

    def rpc(
        self,
        fn: str,
        params: Mapping[str, Any] | None = None,
        count: str | None = None,
        head: bool = False,
        get: bool = False,
    ) -> Builder:
        """Call a function of the database's own."""
        return self._data.rpc(fn, params, count, head, get)

    def schema(self, schema: str) -> Data:
        """The one schema there is, ``public``."""
        return self._data.schema(schema)

    @property
    def storage(self) -> NoReturn:
        """Only with hosted Supabase."""
        raise _hosted_only("storage", "keep files with Response.file and request.form_data()")

    @property
    def realtime(self) -> NoReturn:
        """Only with hosted Supabase."""
        raise _hosted_only("realtime", "stream changes with Response.sse")

    @property
    def functions(self) -> NoReturn:
        """Only with hosted Supabase."""
        raise _hosted_only("functions", "write a route")

    def channel(self, topic: str, params: Any = None) -> NoReturn:
        """Only with hosted Supabase."""
        raise _hosted_only("channel()", "stream changes with Response.sse")


def _hosted_only(what: str, instead: str) -> ConfigError:
    return ConfigError(f"supabase.{what} is a service of hosted Supabase", cure=f"set SUPABASE_URL, or {instead}")


class Auth:
    """``supabase.auth``: arguments are dicts, as in Supabase's Python client."""

    def __init__(self, service: AuthService, current: Current | None, admin: Admin | None = None) -> None:
        self._service, self._current, self._admin = service, current, admin
        self._client: Client | None = None

    @property
    def admin(self) -> Admin:
        """Calls for administrators, on ``create_admin_client()`` alone."""
        if self._admin is None:
            raise AuthError("not_admin", "supabase.auth.admin needs a client of create_admin_client()")
        return self._admin

    @property
    def _session(self) -> Current:
        if self._current is None:
            raise AuthError("no_authorization", "An admin client has no session; use create_client() in a route")
        return self._current

    @property
    def _context(self) -> CallContext:
        request = self._session.request
        return CallContext(request.ip, request.headers.get("user-agent"))

    # -- who it is

    async def get_user(self, jwt: str | None = None) -> UserResponse:
        """The user; ``.user`` is None where nobody is signed in.

        The signature, the user and the session are looked at, so signing out ends it at once.

        Args:
            jwt: Another access token than the request's.

        Raises:
            DbError: the database is away, which is not the same as signed out.
        """
        token = jwt or await self._session.access_token()
        if token is None:
            return UserResponse()
        known = self._current.users if self._current is not None else {}
        if token not in known:
            try:
                known[token] = await self._service.get_user(token)
            except AuthError as exc:
                if not is_over(exc):
                    raise
                gone = exc.code in ("session_not_found", "user_not_found")
                if gone and jwt is None and self._session.bearer is None:
                    self._let_go()
                known[token] = None
        return UserResponse(known[token])

    async def get_claims(self, jwt: str | None = None, jwks: Any = None) -> dict[str, Any] | None:
        """``{"claims": …, "headers": …, "signature": …}`` of the access token, by its signature alone; None if none.

        It reads no row, and so knows nothing of a sign-out before the token ends.

        Args:
            jwt: Another token than the request's.
            jwks: Accepted for Supabase's sake; the project's own keys are used.

        Raises:
            AuthError: the token is not good.
        """
        token = jwt or await self._session.access_token()
        if token is None:
            return None
        claims = await self._service.claims(token)
        header, _, rest = token.partition(".")
        return {"claims": dict(claims), "headers": _part(header), "signature": _bytes(rest.rpartition(".")[2])}

    async def get_session(self) -> Session | None:
        """The session in the cookies, refreshed if it is time; its ``user`` is only what the cookie says."""
        current = self._session
        if await current.load() is None:
            return None
        return _session(current.session_text())

    async def get_user_identities(self) -> Identities:
        """The ways in which the user signs in."""
        user = (await self.get_user()).user
        if user is None:
            raise _missing()
        return Identities(user.identities)

    # -- signing up and in

    async def sign_up(self, credentials: Mapping[str, Any]) -> AuthResponse:
        """A new user: ``{"email": …, "password": …, "options": {"data": …, "email_redirect_to": …}}``.

        Returns:
            ``session`` is None until the address is confirmed, if that is asked for.
        """
        email, password = _email(credentials), credentials.get("password")
        if not password:
            raise AuthError("validation_failed", "You must provide either an email or phone number and a password")
        options = _options(credentials)
        verifier, challenge = _pkce()
        answer = await self._service.sign_up(
            email,
            password,
            data=options.get("data"),
            redirect_to=options.get("email_redirect_to"),
            code_challenge=challenge,
            code_challenge_method="s256",
            context=self._context,
        )
        return await self._signed_in(answer, verifier)

    async def sign_in_with_password(self, credentials: Mapping[str, Any]) -> AuthResponse:
        """``{"email": …, "password": …}``; a wrong password and an unknown address are the same AuthError."""
        email, password = _email(credentials), credentials.get("password")
        if not password:
            raise AuthError("validation_failed", "You must provide either an email or phone number and a password")
        return await self._signed_in(await self._service.sign_in_with_password(email, password, context=self._context))

    async def sign_in_anonymously(self, credentials: Mapping[str, Any] | None = None) -> AuthResponse:
        """A user without a name, who may become a real one by ``update_user``."""
        data = _options(credentials or {}).get("data")
        return await self._signed_in(await self._service.sign_in_anonymously(data=data, context=self._context))

    async def sign_in_with_otp(self, credentials: Mapping[str, Any]) -> OtpResponse:
        """Mail a link and a code: ``{"email": …, "options": {"should_create_user": …, "email_redirect_to": …}}``."""
        email, options = _email(credentials), _options(credentials)
        verifier, challenge = _pkce()
        await self._service.otp(
            email,
            create_user=options.get("should_create_user", True),
            data=options.get("data"),
            redirect_to=options.get("email_redirect_to"),
            code_challenge=challenge,
            code_challenge_method="s256",
            context=self._context,
        )
        self._keep_verifier(verifier)
        return OtpResponse()

    async def verify_otp(self, params: Mapping[str, Any]) -> AuthResponse:
        """Sign in with a mailed code, ``{"email": …, "token": …, "type": "email"}``, or a link's ``token_hash``."""
        if not isinstance(params.get("type"), str):
            raise AuthError("validation_failed", "Verify requires a verification type")
        return await self._signed_in(
            await self._service.verify(
                params["type"],
                token=params.get("token"),
                token_hash=params.get("token_hash"),
                email=params.get("email"),
                context=self._context,
            )
        )

    async def exchange_code_for_session(self, params: Mapping[str, Any]) -> AuthResponse:
        """Sign in with the ``code`` that a link or a provider has sent the browser back with: ``{"auth_code": …}``."""
        verifier = params.get("code_verifier") or self._verifier()
        if not verifier or not params.get("auth_code"):
            raise AuthError("validation_failed", "both auth code and code verifier should be non-empty")
        session = await self._service.exchange_code(params["auth_code"], verifier, context=self._context)
        self._session.jar.delete(self._verifier_key)
        return await self._signed_in(session)

    async def sign_in_with_oauth(self, credentials: Mapping[str, Any]) -> OAuthResponse:
        """Where to redirect to for ``{"provider": "github", "options": {"redirect_to": …, "scopes": …}}``."""
        return await self._to_provider(credentials, None)

    async def link_identity(self, credentials: Mapping[str, Any]) -> OAuthResponse:
        """Where to redirect to so that the signed-in user can sign in with the provider too."""
        user = (await self.get_user()).user
        if user is None:
            raise _missing()
        return await self._to_provider(credentials, user.id)

    async def unlink_identity(self, identity: Any) -> None:
        """Take away a way to sign in; the last one stays."""
        await self._service.unlink_identity(await self._token(), identity.identity_id)
        self._session.users.clear()

    async def _to_provider(self, credentials: Mapping[str, Any], user_id: str | None) -> OAuthResponse:
        options = _options(credentials)
        verifier, challenge = _pkce()
        url = await self._service.authorize_url(
            credentials["provider"],
            redirect_to=options.get("redirect_to"),
            scopes=options.get("scopes"),
            code_challenge=challenge,
            code_challenge_method="s256",
            query_params=options.get("query_params"),
            linking_user_id=user_id,
            context=self._context,
        )
        self._keep_verifier(verifier)
        return OAuthResponse(credentials["provider"], url)

    # -- the signed-in user

    async def update_user(
        self, attributes: Mapping[str, Any], options: Mapping[str, Any] | None = None
    ) -> UserResponse:
        """Change ``email``, ``password`` or ``data`` (merged) of the signed-in user."""
        token = await self._token()
        verifier, challenge = _pkce() if attributes.get("email") else (None, None)
        user = await self._service.update_user(
            token,
            email=attributes.get("email"),
            password=attributes.get("password"),
            data=attributes.get("data"),
            nonce=attributes.get("nonce"),
            current_password=attributes.get("current_password"),
            redirect_to=(options or {}).get("email_redirect_to"),
            code_challenge=challenge,
            code_challenge_method="s256" if challenge else None,
            context=self._context,
        )
        if verifier is not None:
            self._keep_verifier(verifier)
        current = self._session
        current.users.clear()
        session = _session(current.session_text()) if current.bearer is None else None
        if session is not None:
            session.user = user
            current.keep(_text(session))
        return UserResponse(user)

    async def reset_password_for_email(self, email: str, options: Mapping[str, Any] | None = None) -> None:
        """Mail a link that signs in to choose a new password; known and unknown addresses look the same."""
        verifier, challenge = _pkce()
        await self._service.recover(
            _email({"email": email}),
            redirect_to=(options or {}).get("redirect_to"),
            code_challenge=challenge,
            code_challenge_method="s256",
            context=self._context,
        )
        self._keep_verifier(verifier + _RECOVERY)

    reset_password_email = reset_password_for_email

    async def resend(self, credentials: Mapping[str, Any]) -> OtpResponse:
        """Mail once more what ``{"type": "signup", "email": …}`` says."""
        await self._service.resend(
            str(credentials.get("type")),
            _email(credentials),
            redirect_to=_options(credentials).get("email_redirect_to"),
            context=self._context,
        )
        return OtpResponse()

    async def reauthenticate(self) -> AuthResponse:
        """Mail the nonce that a change of password may ask for."""
        await self._service.reauthenticate(await self._token(), context=self._context)
        return AuthResponse()

    async def sign_out(self, options: Mapping[str, Any] | None = None) -> None:
        """End this session and forget it; *options* are ``{"scope": "local"}``, or "others" or, if None, "global"."""
        scope = (options or {}).get("scope", "global")
        if scope not in ("global", "local", "others"):
            raise AuthError("validation_failed", f"Unsupported logout scope {str(scope)[:40]!r}")
        token = await self._session.access_token()
        if token is not None:
            try:
                await self._service.sign_out(token, scope)
            except AuthError as exc:
                if not is_over(exc):  # else it is over already
                    raise
        if scope != "others":
            self._let_go()

    # -- sessions

    async def refresh_session(self, refresh_token: str | None = None) -> AuthResponse:
        """A new session, whether it is time or not.

        Raises:
            AuthError: there is none to refresh, or it is over.
        """
        current = self._session
        if refresh_token is None:
            tokens = current.tokens()
            refresh_token = tokens.refresh_token if tokens is not None else None
        if not refresh_token:
            raise _missing()
        session = await self._service.refresh(refresh_token, context=self._context)
        return await self._signed_in(session)

    async def set_session(self, access_token: str, refresh_token: str) -> AuthResponse:
        """Take a session that was made elsewhere, such as by a client in the browser."""
        try:
            claims = await self._service.claims(access_token)
        except AuthError:
            return await self.refresh_session(refresh_token)
        user = await self._service.get_user(access_token)
        expires = int(claims["exp"])
        left = max(0, expires - int(time.time()))
        return await self._signed_in(
            Session(
                access_token=access_token, refresh_token=refresh_token, expires_in=left, expires_at=expires, user=user
            )
        )

    # -- the cookies

    @property
    def _verifier_key(self) -> str:
        return self._session.jar.key + VERIFIER

    def _keep_verifier(self, verifier: str) -> None:
        self._session.jar.set(self._verifier_key, json.dumps(verifier))

    def _verifier(self) -> str | None:
        text = self._session.jar.get(self._verifier_key)
        found = json.loads(text) if text is not None else None
        return found.partition("/")[0] if isinstance(found, str) else None

    async def _token(self) -> str:
        token = await self._session.access_token()
        if token is None:
            raise _missing()
        return token

    async def _signed_in(self, answer: Session | AuthResponse | Message, verifier: str | None = None) -> AuthResponse:
        """*answer* as a client gives it, its session kept; or the *verifier*, where a link has yet to be followed."""
        if isinstance(answer, Message):
            return AuthResponse()
        if isinstance(answer, Session):
            answer = AuthResponse(answer.user, answer)
        if answer.session is not None:
            self._session.keep(_text(answer.session))
        elif verifier is not None:
            self._keep_verifier(verifier)
        await self._rescope()
        return answer

    def _let_go(self) -> None:
        current = self._session
        if not current.request.answered:
            current.forget()
        current.bearer = None
        if self._client is not None:
            self._client._scope = Scope("anon", {})

    async def _rescope(self) -> None:
        if self._client is not None:
            self._client._scope = await _scope(self._service, self._session)


class Admin:
    """``supabase.auth.admin``: users by the project's own authority."""

    def __init__(self, service: AuthService) -> None:
        self._service = service

    async def list_users(self, page: int | None = None, per_page: int | None = None) -> list[User]:
        """One page of the users, 50 if it is not said."""
        users, _ = await self._service.list_users(page=page or 1, per_page=per_page or 50)
        return list(users)

    async def get_user_by_id(self, uid: str) -> UserResponse:
        """One user.

        Raises:
            AuthError: ``user_not_found``.
        """
        return UserResponse(await self._service.admin_get_user(uid))

    async def create_user(self, attributes: Mapping[str, Any]) -> UserResponse:
        """A new user, without a mail: ``email``, ``password``, ``email_confirm``, ``user_metadata``, ``role``."""
        return UserResponse(await self._service.admin_create_user(**attributes))

    async def update_user_by_id(self, uid: str, attributes: Mapping[str, Any]) -> UserResponse:
        """Change what *attributes* name; also ``ban_duration`` (``"24h"``, ``"none"``) and ``role``."""
        return UserResponse(await self._service.admin_update_user(uid, **attributes))

    async def delete_user(self, id: str, should_soft_delete: bool = False) -> None:
        """Delete a user, or make the account unusable and keep its row."""
        await self._service.admin_delete_user(id, soft=should_soft_delete)

    async def invite_user_by_email(self, email: str, options: Mapping[str, Any] | None = None) -> UserResponse:
        """A new user, and a mail that lets them in."""
        given = options or {}
        return UserResponse(
            await self._service.invite(email, data=given.get("data"), redirect_to=given.get("redirect_to"))
        )

    async def generate_link(self, params: Mapping[str, Any]) -> GeneratedLink:
        """The link that a mail would have carried: ``{"type": "recovery", "email": …}``."""
        options = _options(params)
        user, link = await self._service.generate_link(
            params["type"],
            params["email"],
            password=params.get("password"),
            new_email=params.get("new_email"),
            data=options.get("data"),
            redirect_to=options.get("redirect_to"),
        )
        return GeneratedLink(link, user)

    async def sign_out(self, jwt: str, scope: SignOutScope = "global") -> None:
        """End the sessions of the user whose access token *jwt* is."""
        await self._service.sign_out(jwt, scope)


# -- small things


def _email(credentials: Mapping[str, Any]) -> str:
    email = credentials.get("email")
    if not isinstance(email, str) or not email:
        if credentials.get("phone"):
            raise AuthError("validation_failed", "Phone numbers are not offered here, give an email")
        raise AuthError("validation_failed", "You must provide an email")
    return email


def _options(given: Mapping[str, Any]) -> Mapping[str, Any]:
    options = given.get("options") or {}
    return options if isinstance(options, Mapping) else {}


def _missing() -> AuthError:
    return AuthError("no_authorization", "Auth session missing!")


def _pkce() -> tuple[str, str]:
    """A verifier that stays in this browser, and the challenge that goes with the link (RFC 7636)."""
    verifier = secrets.token_urlsafe(42)
    return verifier, urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _text(session: Session) -> str:
    return msgspec.json.encode(session).decode()


def _session(text: str | None) -> Session | None:
    try:
        return msgspec.json.decode(text, type=Session, strict=False) if text is not None else None
    except msgspec.DecodeError:
        return None


def _bytes(text: str) -> bytes:
    from base64 import urlsafe_b64decode

    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _part(text: str) -> Any:
    return json.loads(_bytes(text))
