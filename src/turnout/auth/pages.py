"""Pages for people: sign in, sign up, reset a password, type the code of a mail, sign out.

On by ``pages = true`` under ``[tool.turnout.auth]``, below ``/auth``; a route of the project's own at one of
these paths takes the page's place, and ``templates/auth/<page>.html`` its look. They are plain forms that need
no script. Each goes through ``create_client()``, so they work with hosted Supabase as well. A form is taken from
this site's own pages alone, whether anybody is signed in or not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from ..config import AuthConfig, Config
from ..context import cookies
from ..env import env
from ..errors import ConfigError, Forbidden
from ..http.origin import same_origin
from ..http.request import Request
from ..http.response import Response
from . import auth_service, serves_wire
from .client import create_client
from .errors import AuthError

if TYPE_CHECKING:
    import jinja2

Endpoint = Callable[[Request], Awaitable[Response]]

FOLDER = Path(__file__).parent / "html"
PREFIX = "/auth"
EMAIL_COOKIE = "turnout-auth-email"  # whose code is waited for, so that it need not be typed again
EMAIL_S = 3600
PROVIDERS = {"google": "Google", "github": "GitHub"}
# What a mail can be for: its heading, and the type that its code is verified as.
MAILS = {
    "sign-up": ("Confirm your address", "signup"),
    "sign-in": ("Check your e-mail", "email"),
    "reset": ("Check your e-mail", "recovery"),
}
SAID = {
    "invalid_credentials": "That e-mail address and password do not match an account.",
    "email_not_confirmed": "Confirm your address first: type the code that we have mailed to you.",
    "otp_expired": "That code is wrong or has expired. Ask for a new one.",
    "same_password": "That is your password already. Choose a new one.",
    "user_already_exists": "There is an account with this address. Sign in instead.",
    "signup_disabled": "New accounts are not offered here.",
    "over_request_rate_limit": "That were too many tries. Wait a few minutes, then try again.",
    "over_email_send_rate_limit": "We have just sent you a mail. Wait a minute before you ask for another.",
    "user_banned": "This account is locked.",
    "flow_state_not_found": "That link has been used, or has expired. Ask for a new one.",
    "flow_state_expired": "That link has expired. Ask for a new one.",
}
OTHER_BROWSER = "That link belongs to the browser that asked for it. Open it there, or type the code of the mail here."


def endpoints(config: Config) -> dict[str, dict[str, Endpoint]]:
    """What the pages add to an App: patterns, and the methods of each; nothing where they are off.

    Raises:
        ConfigError: they are on and Jinja2 is not installed.
    """
    return Pages(config).endpoints() if config.auth.pages else {}


def links(config: Config, values: Mapping[str, str]) -> dict[str, dict[str, Endpoint]]:
    """The addresses that mails and providers lead to, where a project has users and does not serve the whole wire."""
    used = config.auth.pages or values.get("TURNOUT_AUTH_KEYS")
    if config.mode == "production" and not (config.auth.site_url or config.origin):
        return {}  # keys alone may seal bound arguments: users need an address too, which links can lead to
    if not used or values.get("SUPABASE_URL") or serves_wire(config):
        return {}
    return {
        "/auth/v1/verify": {"GET": _link},
        "/auth/v1/authorize": {"GET": _link},
        "/auth/v1/callback": {"GET": _link, "POST": _link},
    }


async def _link(request: Request) -> Response:
    from .routes import gotrue

    return await gotrue(request, auth_service())


class Pages:
    """The pages of one project."""

    def __init__(self, config: Config) -> None:
        self.settings: AuthConfig = config.auth
        self._own = config.root / "templates" / "auth"
        self._reload = config.mode == "development"
        self._environment = self._make()

    def _make(self) -> jinja2.Environment:
        try:
            import jinja2
        except ImportError as exc:
            raise ConfigError("pages = true needs jinja2", cure='pip install "turnout[templates]"') from exc
        return jinja2.Environment(
            loader=jinja2.FileSystemLoader([self._own, FOLDER]),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            auto_reload=self._reload,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def endpoints(self) -> dict[str, dict[str, Endpoint]]:
        """Patterns, and the methods of each."""
        paths: dict[str, dict[str, Endpoint]] = {
            "sign-in": {"GET": self.sign_in, "POST": self.signing_in},
            "sign-up": {"GET": self.sign_up, "POST": self.signing_up},
            "reset": {"GET": self.reset, "POST": self.resetting},
            "new-password": {"GET": self.new_password, "POST": self.setting_password},
            "sent": {"GET": self.sent, "POST": self.verifying},
            "sign-out": {"GET": self.sign_out, "POST": self.signing_out},
            "signed-out": {"GET": self.signed_out},
            "callback": {"GET": self.callback},
            "provider": {"GET": self.provider},
            "style.css": {"GET": self.style},
        }
        if not self.settings.sign_ups:
            del paths["sign-up"]
        return {f"{PREFIX}/{path}": methods for path, methods in paths.items()}

    # -- signing in

    async def sign_in(self, request: Request) -> Response:
        """The form. Who is signed in already is sent on."""
        if await _user() is not None:
            return _onward(request.search_params.get("next"))
        return self._page(request, "sign-in", next=request.search_params.get("next"))

    async def signing_in(self, request: Request) -> Response:
        """By password, or by a mailed code if that button was pressed."""
        form = await _form(request)
        email, onward = form.get("email", ""), form.get("next", "")
        supabase = await create_client()
        try:
            if form.get("by") == "code":
                options = {"should_create_user": False, "email_redirect_to": _back(request, onward)}
                await supabase.auth.sign_in_with_otp({"email": email, "options": options})
                return _sent("sign-in", email, onward)
            await supabase.auth.sign_in_with_password({"email": email, "password": form.get("password", "")})
        except AuthError as exc:
            if exc.code == "email_not_confirmed":
                return _sent("sign-up", email, onward)
            return self._again(request, "sign-in", exc, next=onward, email=email)
        return _onward(onward)

    async def provider(self, request: Request) -> Response:
        """On to a provider. A link and not a form: its answer leads to another site."""
        name = request.search_params.get("provider") or ""
        if name not in self._providers:
            raise AuthError("provider_disabled")
        supabase = await create_client()
        back = _back(request, request.search_params.get("next") or "")
        found = await supabase.auth.sign_in_with_oauth({"provider": name, "options": {"redirect_to": back}})
        return Response.redirect(found.url, 303, external=True)

    async def callback(self, request: Request) -> Response:
        """The way back from a mail's link or a provider: a code for a session."""
        given = request.search_params
        if given.get("error_code") or given.get("error"):
            failure = AuthError("otp_expired", given.get("error_description"))
            return self._again(request, "sign-in", failure, next=given.get("next") or "")
        supabase = await create_client()
        try:
            await supabase.auth.exchange_code_for_session({"auth_code": given.get("code") or ""})
        except AuthError as exc:
            if exc.code in ("validation_failed", "bad_code_verifier"):
                return self._page(request, "sent", 400, kind="sign-in", heading="Almost there", error=OTHER_BROWSER)
            return self._again(request, "sign-in", exc, next=given.get("next") or "")
        return _onward(given.get("next"))

    # -- signing up

    async def sign_up(self, request: Request) -> Response:
        """The form. Who is signed in already is sent on."""
        if await _user() is not None:
            return _onward(request.search_params.get("next"))
        return self._page(request, "sign-up", next=request.search_params.get("next"))

    async def signing_up(self, request: Request) -> Response:
        """A new account; the answer is the same for an address that has one."""
        form = await _form(request)
        email, onward = form.get("email", ""), form.get("next", "")
        credentials = {"email": email, "password": form.get("password", "")}
        supabase = await create_client()
        try:
            options = {"email_redirect_to": _back(request, onward)}
            made = await supabase.auth.sign_up({**credentials, "options": options})
        except AuthError as exc:
            return self._again(request, "sign-up", exc, next=onward, email=email)
        return _sent("sign-up", email, onward) if made.session is None else _onward(onward)

    # -- a code from a mail

    async def sent(self, request: Request) -> Response:
        """A mail is on its way; its code can be typed here."""
        kind = request.search_params.get("for") or ""
        kind = kind if kind in MAILS else "sign-in"
        return self._page(request, "sent", kind=kind, heading=MAILS[kind][0], next=request.search_params.get("next"))

    async def verifying(self, request: Request) -> Response:
        """Sign in by the code."""
        form = await _form(request)
        kind = form.get("for", "")
        heading, type = MAILS.get(kind, MAILS["sign-in"])
        email, onward = form.get("email", ""), form.get("next", "")
        supabase = await create_client()
        try:
            code = "".join(form.get("code", "").split())
            await supabase.auth.verify_otp({"email": email, "token": code, "type": type})
        except AuthError as exc:
            return self._again(request, "sent", exc, kind=kind, heading=heading, next=onward, email=email)
        cookies().delete(EMAIL_COOKIE, path=PREFIX)
        return Response.redirect(f"{PREFIX}/new-password", 303) if kind == "reset" else _onward(onward)

    # -- a new password

    async def reset(self, request: Request) -> Response:
        """The form that asks for a mail."""
        return self._page(request, "reset")

    async def resetting(self, request: Request) -> Response:
        """Mail a link; the answer is the same for unknown addresses."""
        email = (await _form(request)).get("email", "")
        supabase = await create_client()
        try:
            back = _back(request, f"{PREFIX}/new-password")
            await supabase.auth.reset_password_for_email(email, {"redirect_to": back})
        except AuthError as exc:
            return self._again(request, "reset", exc, email=email)
        return _sent("reset", email, "")

    async def new_password(self, request: Request) -> Response:
        """The form, for who is signed in; a link of a mail does that."""
        if await _user() is None:
            return Response.redirect(f"{PREFIX}/sign-in?next={quote(PREFIX + '/new-password', safe='')}", 303)
        return self._page(request, "new-password")

    async def setting_password(self, request: Request) -> Response:
        """Change it."""
        form = await _form(request)
        supabase = await create_client()
        try:
            await supabase.auth.update_user({"password": form.get("password", "")})
        except AuthError as exc:
            if exc.code == "no_authorization":
                return Response.redirect(f"{PREFIX}/sign-in?next={quote(PREFIX + '/new-password', safe='')}", 303)
            return self._again(request, "new-password", exc)
        return self._page(request, "done")

    # -- signing out

    async def sign_out(self, request: Request) -> Response:
        """Ask first: a link alone must not sign anybody out."""
        return self._page(request, "sign-out") if await _user() is not None else _redirect("signed-out")

    async def signing_out(self, request: Request) -> Response:
        """End this session."""
        await _form(request)
        supabase = await create_client()
        await supabase.auth.sign_out({"scope": "local"})
        return _redirect("signed-out")

    async def signed_out(self, request: Request) -> Response:
        """It is done."""
        return self._page(request, "signed-out")

    # -- how they look

    @cached_property
    def _style(self) -> str:
        source = self._environment.loader
        assert source is not None
        return source.get_source(self._environment, "style.css")[0]

    async def style(self, request: Request) -> Response:
        """The style sheet; its address changes with it, so it may be kept."""
        headers = {"cache-control": "public, max-age=31536000, immutable", "content-type": "text/css; charset=utf-8"}
        return Response(self._style, 200, headers)

    @cached_property
    def _providers(self) -> dict[str, str]:
        known = self.settings
        if env.get("SUPABASE_URL"):
            return {}  # which ones a hosted project offers, it does not say here
        ids = {"google": known.google_client_id, "github": known.github_client_id}
        return {name: label for name, label in PROVIDERS.items() if ids[name]}

    def _again(self, request: Request, name: str, exc: AuthError, **data: Any) -> Response:
        """The form once more, with what was wrong."""
        if exc.code == "weak_password":
            error = f"Choose a longer password: at least {self.settings.password_min_length} characters."
        elif exc.code == "validation_failed" and "email" in exc.message.lower():
            error = "That does not look like an e-mail address."
        else:
            error = SAID.get(exc.code, exc.message)
        return self._page(request, name, exc.status if exc.status == 429 else 422, error=error, **data)

    def _page(self, request: Request, name: str, status: int = 200, **data: Any) -> Response:
        version = hashlib.sha256(self._style.encode()).hexdigest()[:10]
        given: dict[str, Any] = {
            "error": None,
            "email": unquote(request.cookies.get(EMAIL_COOKIE, "")) if name == "sent" else "",
            "next": "",
            "site": request.url.host,
            "sign_ups": self.settings.sign_ups,
            "providers": self._providers,
            "min_length": self.settings.password_min_length,
            "style": f"{PREFIX}/style.css?{version}",
            "prefix": PREFIX,
        }
        given |= {key: value for key, value in data.items() if value is not None}
        text = self._environment.get_template(f"{name}.html").render(given)
        return Response.html(text, status, {"cache-control": "private, no-store", "referrer-policy": "no-referrer"})


# -- requests and answers


async def _form(request: Request) -> Mapping[str, str]:
    """The fields of a form that this site's own page has sent.

    Raises:
        Forbidden: somebody else's page has, or nothing says whose.
    """
    if not same_origin(request):
        raise Forbidden("This form has to be sent from its own page", code="cross_origin")
    form = await request.form_data()
    return {name: value for name, value in form.items() if isinstance(value, str)}


async def _user() -> Any:
    return (await (await create_client()).auth.get_user()).user


def _redirect(page: str) -> Response:
    return Response.redirect(f"{PREFIX}/{page}", 303)


def _onward(place: str | None) -> Response:
    """To *place* if it is on this site, else to the front page."""
    try:
        return Response.redirect(place or "/", 303)
    except ValueError:
        return Response.redirect("/", 303)


def _sent(kind: str, email: str, onward: str) -> Response:
    """On to the page that waits for a code. The address stays out of its URL, and so out of logs."""
    try:
        cookies().set(EMAIL_COOKIE, quote(email, safe="@"), max_age=EMAIL_S, path=PREFIX)
    except (TypeError, ValueError):
        pass  # longer than a cookie: it can be typed
    where = f"{PREFIX}/sent?for={kind}"
    return Response.redirect(f"{where}&next={quote(onward, safe='')}" if onward else where, 303)


def _back(request: Request, onward: str) -> str:
    """Where a mail's link or a provider leads back to, in the form that the backend wants it."""
    path = f"{PREFIX}/callback" + (f"?next={quote(onward, safe='/')}" if onward else "")
    return f"{request.url.origin}{path}" if env.get("SUPABASE_URL") else path
