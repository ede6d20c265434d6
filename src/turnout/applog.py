"""The log of a running app: secrets hidden, request id and route on each line."""

from __future__ import annotations

from collections.abc import Mapping

from . import log
from .context import current
from .env import Mode, secret_values


def configure(mode: Mode) -> None:
    """Set up logging for a process that serves."""
    log.configure(mode, secrets=secret_values, about=about)


def about() -> Mapping[str, str]:
    """What a line says of the request being answered."""
    request = current.get(None)
    if request is None:
        return {}
    return {"request_id": request.id, "route": request.route.pattern} if request.route else {"request_id": request.id}
