"""What answers at an action's address: who may send, what comes back to a form, what to a script.

A script is told from a form by the two fields that say what is sent and what is understood: a JSON body, or an
``Accept`` that does not prefer HTML, gets JSON; a browser's own form gets a page. No other field is asked.

A form that failed gets the page that held it once more, made by its GET route within this request, with ``errors``
and ``values`` for its template. A page that does not look at ``errors`` would leave people guessing; then, and where
the page is not known, a plain page says what is wrong.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from ..context import current
from ..errors import DbError, Forbidden, HTTPError, NotFound
from ..http.media import is_json, negotiate
from ..http.origin import same_origin
from ..http.problem import to_problem
from ..http.request import Request
from ..http.response import Response
from .action import BOUND, PAGE, PREFIX, Action
from .arguments import plan_of
from .page import Failed
from .words import CHECK, field_errors

if TYPE_CHECKING:
    from ..http.fetch import Fetch

Endpoint = Callable[[Request], Awaitable[Response]]
RunSync = Callable[..., Awaitable[Any]]

logger = logging.getLogger("turnout.actions")

# Of the form's request, for the page's: what is about its body, or about which copy of the page it has.
_NOT_PASSED_ON = frozenset(
    (
        "accept-encoding", "content-length", "content-type", "content-encoding", "transfer-encoding", "expect",
        "origin", "idempotency-key", "if-none-match", "if-modified-since", "if-match", "if-unmodified-since",
        "if-range", "range",
    )
)  # fmt: skip
_NO_STORE = ("cache-control", "no-store")
SCRIPT = Path(__file__).parent / "turnout.js"
RESERVED = frozenset((PREFIX[1:], "_turnout"))


def endpoints() -> dict[str, dict[str, Endpoint]]:
    """What a project with actions answers besides them: patterns, and the methods of each."""
    return {
        f"{PREFIX}/[id]": {"POST": unknown},
        "/_turnout/turnout.js": {"GET": script},
    }


async def script(request: Request) -> Response:
    """``turnout.js``; browsers ask each time whether it has changed."""
    response = Response.file(SCRIPT, media_type="text/javascript; charset=utf-8")
    response.headers.set("cache-control", "public, max-age=0, must-revalidate")
    return response


class Site:
    """The project that answers, as far as its actions have to know.

    Attributes:
        app: What makes its pages; known once every route is.
        sign_in: The path of the page to sign in; None without one.
    """

    def __init__(self, sign_in: str | None = None) -> None:
        self.app: Fetch | None = None
        self.sign_in = sign_in


def calling(action: Action, run_sync: RunSync) -> Endpoint:
    """What calls *action* with what the request brings, behind every guard and middleware.

    Args:
        run_sync: ``await run_sync(function, *args)`` runs a ``def`` in a thread.
    """
    plan, function = plan_of(action), action.function
    is_async = inspect.iscoroutinefunction(function)

    async def call(request: Request) -> Response:
        by_place, by_name = await plan.read(request, unsealed(action, request))
        if is_async:
            result = await function(*by_place, **by_name)
        else:
            result = await run_sync(partial(function, *by_place, **by_name))
            if inspect.isawaitable(result):  # a plain wrapper around an async function
                result = await result
        return to_script(result) if is_script(request) else to_form(result, request)

    return call


def answering(
    action: Action, inner: Endpoint, site: Site, allowed: Collection[str], handled: Callable[[Endpoint], Endpoint]
) -> Endpoint:
    """The whole endpoint of *action*.

    Args:
        inner: Guards, middleware and the call.
        allowed: Other origins whose pages may call.
        handled: Puts the folder's ``error.py`` around an endpoint.
    """

    async def judged(request: Request) -> Response:
        check_origin(request, allowed)
        try:
            return await inner(request)
        except (HTTPError, DbError) as exc:
            if exc.status >= 500 or is_script(request):
                raise
            if exc.__cause__ is not None:
                logger.error("%s", exc, exc_info=exc, extra={"request_id": request.id, "action": action.name})
            return await _page_again(site, action, request, exc) or _plain_page(request, exc)

    for_forms = handled(judged)

    async def answer(request: Request) -> Response:
        if is_script(request):
            request.problem_members = partial(_members, site, request)
            return await judged(request)
        try:
            return await for_forms(request)
        except HTTPError as exc:
            if exc.status >= 500:
                raise
            return _plain_page(request, exc)

    return answer


async def unknown(request: Request) -> Response:
    """What answers where no action has the address."""
    refusal = NotFound("This page is from another version: load it again", code="action_not_found")
    if is_script(request):
        request.problem_members = partial(_members, Site(), request)
        raise refusal
    return _plain_page(request, refusal)


def check_origin(request: Request, allowed: Collection[str] = ()) -> None:
    """Refuse what a page of another site has sent; what comes from no browser may pass if it brings no cookie.

    Raises:
        Forbidden: it is another site's, or nothing says whose, and there is a cookie.
    """
    verdict = same_origin(request, allowed, typed=False)
    if verdict is False or (verdict is None and request.headers.has("cookie")):
        raise Forbidden(
            "This was not sent by a page of this site: send Origin or Sec-Fetch-Site as browsers do",
            code="cross_origin",
        )


def is_script(request: Request) -> bool:
    """Whether the answer is JSON, for a script, and not a page."""
    if is_json(request.content_type):
        return True
    return negotiate(request.headers.get("accept"), ["application/json", "text/html"]) != "text/html"


def unsealed(action: Action, request: Request) -> bytes | None:
    """The bound arguments as JSON; None where there are none."""
    token = request.search_params.get(BOUND)
    if token is None:
        return None
    from .seal import unseal

    return unseal(action.id, token)


# -- what comes back


def to_script(result: Any) -> Response:
    """What an action returned, for a script: ``{ok, data}``, or ``{ok, redirect}``."""
    if not isinstance(result, Response):
        return Response.json({"ok": True, "data": result}, headers=[_NO_STORE])
    location = result.headers.get("location")
    if location is None or not 300 <= result.status <= 399:
        return result
    answer = Response.json({"ok": True, "redirect": location}, headers=[_NO_STORE])
    for name, value in result.headers.items():
        if name not in ("location", "content-type"):
            answer.headers.append(name, value)
    answer._cookies, answer.special = result._cookies, True
    return answer


def to_form(result: Any, request: Request) -> Response:
    """What an action returned, for a form: 303 to where it says, else back to the page."""
    if not isinstance(result, Response):
        return Response.redirect(page_of(request) or "/", 303)
    if result.status in (301, 302, 307, 308):
        result.status = 303  # any other would send the form again, to the page
    return result


def page_of(request: Request) -> str | None:
    """Path and query of the page that held the form: of this site, and no action's address; None if nothing says."""
    said = request.search_params.get(PAGE)
    if said is None:
        scheme, _, rest = (request.headers.get("referer") or "").partition("#")[0].partition("://")
        host, slash, path = rest.partition("/")
        # Or the Host that was asked for: a proxy that is not trusted, or a second name of this machine, does not
        # make a page another site's. Nothing but the path is used.
        if scheme not in ("http", "https") or host not in (request.url.host, request.host):
            return None
        said = slash + path or "/"
    if said.startswith(f"{PREFIX}/"):
        return None
    try:
        return Response.redirect(said, 303).headers.get("location")
    except ValueError:  # it leads elsewhere
        return None


def _members(site: Site, request: Request, problem: dict[str, Any]) -> dict[str, Any]:
    """What a script finds in a problem beside the members of RFC 9457."""
    found = field_errors(problem.get("errors"))
    members: dict[str, Any] = {"ok": False, "error": _message(problem, found)}
    if problem["status"] == 422 or found:
        members["field_errors"] = found
    if problem["status"] == 401 and site.sign_in is not None:
        members["redirect"] = _to_sign_in(site.sign_in, request)
    return members


def _message(problem: dict[str, Any], found: dict[str, str]) -> str:
    if found and problem.get("code") == "validation_failed":
        return CHECK
    return str(problem.get("detail") or problem["title"])


def _to_sign_in(path: str, request: Request) -> str:
    return f"{path}?next={quote(page_of(request) or '/', safe='')}"


# -- a form that failed


async def _page_again(site: Site, action: Action, request: Request, exc: HTTPError | DbError) -> Response | None:
    """The page that held the form, with what is wrong; None where it is not known, or says nothing of errors."""
    page = page_of(request)
    if exc.status == 401 and site.sign_in is not None:
        return Response.redirect(_to_sign_in(site.sign_in, request), 303)
    if page is None or site.app is None:
        return None
    told = _told(exc, request)
    failed = Failed(action, _bound_of(action, request), page, _errors(told), _values(request))
    response, work = await _made(site.app, failed, request)
    if failed.asked and failed.unsaid:
        logger.warning(_unsaid(failed), extra={"request_id": request.id, "action": action.name})
        failed = _for_the_form(failed, told)
        response, work = await _made(site.app, failed, request)
    if response is None or failed.unsaid:
        return None
    request.set_cookies = None  # they are on the page
    request.after_work = [*(request.after_work or ()), *work] if work else request.after_work
    response.status = exc.status
    response.headers.set(*_NO_STORE)
    for name, value in exc.headers if isinstance(exc, HTTPError) else ():
        response.headers.append(name, value)
    return response


async def _made(app: Fetch, failed: Failed, request: Request) -> tuple[Response | None, list[Any]]:
    """The page of *failed*, with its ``after()`` work; None for one that is no whole page."""
    again = _asking_for(failed.page, request)
    again.failed_action = failed
    # Flash messages and a renewed session go out with the page, once.
    again.flashes, again.set_cookies, again.special = request.flashes, request.set_cookies, True
    request.set_cookies = None
    try:
        response = await app.fetch(again)
    finally:
        current.set(request)
    request.set_cookies = again.set_cookies
    work, again.after_work = again.after_work, None
    app.sent(again, response)
    if isinstance(response.chunks, AsyncGenerator):
        await response.chunks.aclose()
    return (None if response.status != 200 or response.chunks is not None else response), work or []


def _unsaid(failed: Failed) -> str:
    """What to tell who wrote a page that has no place for some of what is wrong."""
    from difflib import get_close_matches

    near = get_close_matches(failed.unsaid[0], failed.asked, 1)
    cure = f"did you mean {near[0]}?" if near else "look at it there, or in errors.form"
    return (
        f"the page {failed.page.partition('?')[0]} shows no error of {', '.join(failed.unsaid)}, where the action "
        f"{failed.action.name} found one; {cure}"
    )


def _for_the_form(failed: Failed, told: dict[str, Any]) -> Failed:
    """*failed*, where what the page has no place for is about the form as a whole, as ``turnout.js`` does it."""
    errors = {name: said for name, said in failed.errors.items() if name in failed.asked}
    rest = {name: said for name, said in failed.errors.items() if name not in failed.asked}
    # An ActionError's own words are for people already; a name says which of several fields is meant.
    said = [each if each == told.get("detail") else f"{name}: {each}" for name, each in rest.items()]
    errors["form"] = " ".join([*filter(None, [errors.get("form")]), *said])
    return Failed(failed.action, failed.arguments, failed.page, errors, failed.values)


def _asking_for(page: str, request: Request) -> Request:
    """A request for *page* by whoever has sent *request*."""
    fields = [(name, value) for name, value in request.headers.items() if name not in _NOT_PASSED_ON]
    return Request("GET", page, headers=fields, peer=request.peer, scheme=request.scheme)


def _bound_of(action: Action, request: Request) -> dict[str, Any]:
    try:
        sealed = unsealed(action, request)
    except HTTPError:
        return {}
    return {} if sealed is None else msgspec.json.decode(sealed, type=dict[str, Any])


def _told(exc: HTTPError | DbError, request: Request) -> dict[str, Any]:
    """What a client may be told of *exc*."""
    told: dict[str, Any] = msgspec.json.decode(to_problem(exc, request).body)
    return told


def _errors(told: dict[str, Any]) -> dict[str, str]:
    """Field names to messages, and ``form`` to what is about no field."""
    found = field_errors(told.get("errors"))
    return found or {"form": _message(told, found)}


def _values(request: Request) -> dict[str, list[str]]:
    from ..log import is_secret_name

    values: dict[str, list[str]] = {}
    for name, value in request._form.items() if request._form is not None else ():
        if isinstance(value, str) and not is_secret_name(name):
            values.setdefault(name, []).append(value)
    return values


def _plain_page(request: Request, exc: HTTPError | DbError) -> Response:
    """What is wrong, as a page of its own, with a way back."""
    told = _told(exc, request)
    found = field_errors(told.get("errors"))
    lines = "".join(f"<li>{escape(name)}: {escape(said)}</li>" for name, said in found.items())
    page = page_of(request)
    back = f'<p><a href="{escape(page)}">Back to the page</a></p>' if page else "<p>Go back, and try again.</p>"
    message = escape(_message(told, found))
    return Response.html(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(told["title"])}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"></head>'
        f"<body><main><h1>That did not work</h1><p>{message}</p>{f'<ul>{lines}</ul>' if lines else ''}{back}"
        f"<p><small>{escape(request.id)}</small></p></main></body></html>",
        exc.status,
        [_NO_STORE, *(exc.headers if isinstance(exc, HTTPError) else ())],
    )
