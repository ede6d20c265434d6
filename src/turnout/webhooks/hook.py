"""``POST = hook``: a webhook's route as an object. Which events it takes is said by ``on``."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from ..env import Secret
from ..errors import BadRequest, ConfigError, DbError, HTTPError
from ..http.headers import Headers
from ..http.request import Request
from ..http.response import Response
from . import diagnose
from .verify import Event, Secrets, env_names, from_env, refuse, texts

if TYPE_CHECKING:
    from ..db import Transaction

logger = logging.getLogger("turnout.webhooks")

Handler = Callable[[Event, "Transaction"], Awaitable[object]]
H = TypeVar("H", bound=Handler)
Read = Callable[[bytes, Headers, tuple[str, ...]], Event]

BODY_BYTES = 1_000_000
ANY = "*"


class Webhook:
    """Verifies, remembers, and calls the function for the event's type; made by ``stripe.webhook`` and its like.

    A request whose signature is not right is 400. An event that nobody takes is 200, or its sender would
    send it for days; one whose function raises is 500, with nothing done, so that it comes again.

    Args:
        provider: Whose events these are.
        signed_by: The fields of which one holds the signature, in lower case.
        secrets: Names of environment variables as a text, or the secrets themselves.
        read: Verifies a body and gives its event.
    """

    def __init__(self, provider: str, signed_by: tuple[str, ...], secrets: Secrets, read: Read) -> None:
        self.provider = provider
        self._signed_by, self._read = signed_by, read
        self._handlers: dict[str, Handler] = {}
        self._names = env_names(secrets) if isinstance(secrets, str) else ()
        # Kept as Secret, which no traceback shows.
        self._secrets = () if isinstance(secrets, str) else tuple(map(Secret, texts(secrets)))

    def __repr__(self) -> str:
        return f"<Webhook {self.provider}: {', '.join(self._handlers) or 'no events'}>"

    def on(self, *types: str) -> Callable[[H], H]:
        """Call the decorated ``async def (event, tx)`` for events of these types; ``"*"`` is any other.

        What it writes through *tx* and the note that the event is done are one transaction.

        Raises:
            ConfigError: no type, one that is taken, or a function that does not fit.
        """
        if not types or not all(isinstance(each, str) and each for each in types):
            raise ConfigError("hook.on() needs the type of an event", cure='@hook.on("checkout.session.completed")')

        def keep(function: H) -> H:
            _check(function)
            for each in types:
                if each in self._handlers:
                    raise ConfigError(f"{each!r} has a function already", cure="call both from one")
                self._handlers[each] = function
            return function

        return keep

    async def __call__(self, request: Request) -> Response:
        """Answer one delivery."""
        if not any(request.headers.has(name) for name in self._signed_by):
            # Before the body is read: whoever signs nothing sends us nothing.
            refuse("missing", self._missing(request.headers))
        if request.body_limit is None:
            request.body_limit = BODY_BYTES
        payload = await request.bytes()
        event = self._event(payload, request.headers)
        if event.provider == "slack" and event.type == "url_verification":
            return Response.json({"challenge": event.get("challenge")})
        # Not the path: whoever has seen a delivery could send it to another one of the same route.
        await self._handle(event, request.route.pattern if request.route else request.path)
        return Response.json({"received": True})

    def _event(self, payload: bytes, headers: Headers) -> Event:
        keys = from_env(self._names) if self._names else texts(self._secrets)
        try:
            return self._read(payload, headers, keys)
        except BadRequest as exc:
            if diagnose.enabled and exc.code != "invalid_signature":
                diagnose.tell(f"signed, but {exc.detail}")
            raise

    async def _handle(self, event: Event, scope: str) -> None:
        from .inbox import ignored, once

        handler = self._handlers.get(event.type) or self._handlers.get(_kind(event)) or self._handlers.get(ANY)
        if handler is None:
            await ignored(event.id, event.type, scope=scope)
            return
        try:
            async with once(event.id, event.type, scope=scope) as tx:
                if tx is not None:
                    await handler(event, tx)
        except (HTTPError, DbError) as exc:
            if exc.status >= 500:
                raise
            # A sender takes some answers below 500 as "never send this again".
            raise HTTPError(500, "The event could not be handled") from exc

    def _missing(self, headers: Headers) -> str:
        what = f"there is no {' or '.join(self._signed_by)} field"
        others = {"stripe-signature": "Stripe", "x-hub-signature-256": "GitHub", "x-slack-signature": "Slack"}
        others |= {"webhook-signature": "a sender of Standard Webhooks", "svix-signature": "Svix"}
        found = next((sender for name, sender in others.items() if headers.has(name)), None)
        return f"{what}, but one of {found}" if found else f"{what}: not from the sender, or a proxy took it away"


def _kind(event: Event) -> str:
    """``issues`` of GitHub's ``issues.opened``; the type itself with any other sender."""
    return event.type.partition(".")[0] if event.provider == "github" else event.type


def _check(function: object) -> None:
    name = getattr(function, "__name__", repr(function))
    if not inspect.iscoroutinefunction(function):
        raise ConfigError(f"{name} is not an async function", cure=f"async def {name}(event, tx): ...")
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        raise ConfigError(
            f"{name} cannot be called with an event and a transaction", cure=f"async def {name}(event, tx): ..."
        ) from None
