"""File-based API routes for Python: a folder is a URL, a function is an endpoint.

    # app/api/hello/route.py
    from turnout import Response

    async def GET(request):
        return Response.json({"message": "Hello World!"})

What a route needs is imported from here. Names with a cost are loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .context import after, cookies, current_request, headers
from .env import Secret, Settings, env
from .errors import (
    ActionError,
    BadRequest,
    BodyUsed,
    ConfigError,
    Conflict,
    DbError,
    Forbidden,
    HTTPError,
    MailError,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RangeError,
    ServiceUnavailable,
    TooManyRequests,
    TurnoutError,
    Unauthorized,
    UnsupportedMediaType,
    ValidationFailed,
)
from .http.headers import Headers
from .http.request import Request
from .http.response import Response, redirect
from .http.url import URL, URLSearchParams

if TYPE_CHECKING:
    from . import auth, webhooks
    from .actions import action, flash
    from .adapters.asgi import ASGI
    from .auth import create_admin_client, create_client
    from .cache import CacheRule, revalidate_path, revalidate_tag
    from .db import db
    from .http.form import FormData, UploadFile
    from .idempotency import idempotent
    from .mail import send_email
    from .project import load_project
    from .ratelimit import rate_limit
    from .tasks import task
    from .templates import render

__version__ = "0.1.0"

_LAZY = {
    "action": ".actions",
    "flash": ".actions",
    "CacheRule": ".cache",
    "revalidate_path": ".cache",
    "revalidate_tag": ".cache",
    "auth": ".auth",
    "create_admin_client": ".auth",
    "create_client": ".auth",
    "ASGI": ".adapters.asgi",
    "FormData": ".http.form",
    "UploadFile": ".http.form",
    "db": ".db",
    "idempotent": ".idempotency",
    "load_project": ".project",
    "rate_limit": ".ratelimit",
    "render": ".templates",
    "send_email": ".mail",
    "task": ".tasks",
    "webhooks": ".webhooks",
}

__all__ = [
    "ASGI",
    "URL",
    "ActionError",
    "BadRequest",
    "BodyUsed",
    "CacheRule",
    "ConfigError",
    "Conflict",
    "DbError",
    "Forbidden",
    "FormData",
    "HTTPError",
    "Headers",
    "MailError",
    "MethodNotAllowed",
    "NotFound",
    "PayloadTooLarge",
    "RangeError",
    "Request",
    "Response",
    "Secret",
    "ServiceUnavailable",
    "Settings",
    "TooManyRequests",
    "TurnoutError",
    "URLSearchParams",
    "Unauthorized",
    "UnsupportedMediaType",
    "UploadFile",
    "ValidationFailed",
    "action",
    "after",
    "auth",
    "cookies",
    "create_admin_client",
    "create_client",
    "current_request",
    "db",
    "env",
    "flash",
    "headers",
    "idempotent",
    "load_project",
    "rate_limit",
    "redirect",
    "render",
    "revalidate_path",
    "revalidate_tag",
    "send_email",
    "task",
    "webhooks",
]


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'turnout' has no attribute {name!r}")
    value = getattr(import_module(module, __name__), name)
    globals()[name] = value
    return value
