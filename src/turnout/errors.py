"""Every exception that Turnout raises on purpose.

    TurnoutError
    ├── ConfigError            the project or its settings are wrong; carries file, line and cure
    ├── BodyUsed               the body was read as a stream and is gone
    ├── DbError                what the database said, as SQLSTATE and HTTP status
    ├── MailError              a message was refused, or could not be handed over
    └── HTTPError              ends the request with a status; App.fetch makes the response
        ├── BadRequest 400, Unauthorized 401, Forbidden 403, NotFound 404, MethodNotAllowed 405
        ├── Conflict 409, PayloadTooLarge 413, UnsupportedMediaType 415, ValidationFailed 422
        ├── ActionError 422        what an action tells the person who called it
        └── TooManyRequests 429, ServiceUnavailable 503
    RangeError (ValueError)    a response status outside 200..599, named as Fetch names it

Nothing here renders anything: ``http/problem.py`` turns an HTTPError into a response.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class TurnoutError(Exception):
    """The root of every error raised by Turnout itself."""


class ConfigError(TurnoutError):
    """A project that cannot start: what is wrong, where, and how to mend it.

    Args:
        message: What is wrong, in one sentence.
        file: The file that holds the mistake, if one does.
        line: The line in *file*, counted from 1.
        cure: What to do about it, in one sentence.
    """

    def __init__(
        self, message: str, *, file: Path | str | None = None, line: int | None = None, cure: str | None = None
    ) -> None:
        super().__init__(message)
        self.message, self.line, self.cure = message, line, cure
        self.file = Path(file) if file is not None else None

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: " if self.file and self.line else f"{self.file}: " if self.file else ""
        return f"{where}{self.message}" + (f"\n  cure: {self.cure}" if self.cure else "")


class BodyUsed(TurnoutError):
    """The body was consumed by ``request.stream()``; it can be read only once that way."""


class RangeError(ValueError):
    """A response status outside 200..599 (Fetch standard, ``initialize a response``)."""


class DbError(TurnoutError):
    """What the database refused, with the code, the HTTP status and whether a retry makes sense.

    Args:
        code: SQLSTATE (``23505``) or PostgREST code (``PGRST116``).
        message: One sentence. It may quote row values, so production never shows it.
        details: More of the same, if the database gave it.
        hint: How to mend it, if known.
        status: The HTTP status of an uncaught DbError in a route.
        retryable: True where the same call may succeed at once (a serialization failure).
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        details: str | None = None,
        hint: str | None = None,
        status: int = 500,
        retryable: bool = False,
    ) -> None:
        super().__init__(f"{code}: {message}" + (f" ({hint})" if hint else ""))
        self.code, self.message, self.details, self.hint = code, message, details, hint
        self.status, self.retryable = status, retryable


class MailError(TurnoutError):
    """A message that was not sent, as far as anybody can know.

    Args:
        message: What happened, without the message's text and without secrets.
        retryable: True where the same message may be taken later: a server that is away, busy or greylisting.
        code: The SMTP reply or HTTP status, if there was one.
        refused: The recipients that were refused, each with the server's words. Nobody was sent anything then.
        retry_after_s: How long the other side asks to wait, in seconds, if it does.
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        code: int | None = None,
        refused: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.retryable, self.code = message, retryable, code
        self.refused, self.retry_after_s = dict(refused or {}), retry_after_s


class HTTPError(TurnoutError):
    """Ends the request with *status*; ``App.fetch`` turns it into a problem response.

    *detail* is shown to the client. What only the log may see belongs in
    ``raise HTTPError(502, "Upstream failed") from exc``. A subclass may name its own
    ``status`` and ``code`` and then be raised with the detail alone.

    Args:
        status: 400 to 599; a subclass's own status if left out.
        detail: One sentence for the client, or None.
        headers: Extra response fields, such as ``(("retry-after", "5"),)``.
        code: A word for programs, such as ``slug_taken``.
        errors: RFC 9457 extension: ``{"pointer", "message", "type"}`` for each failure.

    Raises:
        ValueError: *status* is not from 400 to 599.
    """

    code: str | None = None  # a subclass's own word for clients, such as "slug_taken"
    type: str = "about:blank"  # a subclass's own problem type, where a registry has one
    status: int = 0  # a subclass's own status; 0 here: HTTPError itself must be given one

    def __init__(
        self,
        status: int | str | None = None,
        detail: str | None = None,
        *,
        headers: Sequence[tuple[str, str]] = (),
        code: str | None = None,
        errors: Sequence[dict[str, Any]] | None = None,
    ) -> None:
        if isinstance(status, str) and detail is None:
            status, detail = None, status
        if status is None:
            status = self.status
        if not isinstance(status, int) or not 400 <= status <= 599:
            raise ValueError(f"HTTPError needs a status from 400 to 599, not {status!r}")
        super().__init__(status, detail)
        self.status, self.detail, self.headers, self.errors = status, detail, tuple(headers), errors
        if code is not None:
            self.code = code


class BadRequest(HTTPError):
    """400: the request itself is malformed."""

    status = 400


class Unauthorized(HTTPError):
    """401: nobody is signed in."""

    status = 401


class Forbidden(HTTPError):
    """403: signed in, but not allowed."""

    status = 403


class NotFound(HTTPError):
    """404: there is no such resource."""

    status = 404


class MethodNotAllowed(HTTPError):
    """405: the resource exists, the method does not; carries ``Allow``."""

    status = 405


class Conflict(HTTPError):
    """409: the resource is not in a state that allows this."""

    status = 409


class PayloadTooLarge(HTTPError):
    """413: the body is over a limit."""

    status = 413
    code = "body_too_large"


class UnsupportedMediaType(HTTPError):
    """415: the body is in a type that this route does not read."""

    status = 415


class ValidationFailed(HTTPError):
    """422: the body was understood, and does not fit its model."""

    status = 422
    code = "validation_failed"


class ActionError(HTTPError):
    """422: what an action tells the person who called it, beside a field of the form or above it.

    Args:
        message: A sentence for people.
        field: The name of the field that it is about; of the form as a whole if None.
        code: A word for programs, such as ``slug_taken``.
        status: 400 to 499.

    Raises:
        ValueError: *status* is not from 400 to 499.
    """

    code = "action_failed"

    def __init__(self, message: str, field: str | None = None, *, code: str | None = None, status: int = 422) -> None:
        if not 400 <= status <= 499:
            raise ValueError(f"ActionError needs a status from 400 to 499, not {status!r}")
        pointer = "" if field is None else "/" + field.replace("~", "~0").replace("/", "~1")
        errors = None if field is None else [{"pointer": pointer, "message": message, "type": "action"}]
        super().__init__(status, message, code=code, errors=errors)
        self.field = field


class TooManyRequests(HTTPError):
    """429: over a limit; carries ``Retry-After``."""

    status = 429
    code = "too_many_requests"


class ServiceUnavailable(HTTPError):
    """503: not now; carries ``Retry-After`` where known."""

    status = 503
