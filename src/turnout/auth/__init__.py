"""Users, sessions and tokens: ``auth_service()`` is the project's one, made when it is first used.

Routes ask ``auth.get_user()`` and ``auth.require_user()``, or ``create_client()`` for everything else.
Nothing here is loaded, no key is read and no table is made in a project that does not use it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError

if TYPE_CHECKING:
    from ..config import AuthConfig, Config
    from .client import create_admin_client, create_client
    from .guard import get_user, require_user
    from .service import AuthService

_configured: tuple[Config, Mapping[str, str]] | None = None
_service: AuthService | None = None
_wanted = False
_making = threading.Lock()


def configure(config: Config, env: Mapping[str, str]) -> None:
    """Say which project :func:`auth_service` is for; the one of the project before is let go."""
    global _configured, _service, _wanted
    with _making:
        if _service is not None:
            _service.passwords.close()
        _configured, _service, _wanted = (config, env), None, config.auth.pages


def serves_wire(config: Config) -> bool:
    """Whether this project serves the routes of Supabase's clients."""
    return config.mode != "production" if config.supabase is None else config.supabase


def want() -> None:
    """A route cannot do without users: production finds out at its start whether it has the keys for them."""
    global _wanted
    _wanted = True


def auth_service() -> AuthService:
    """The project's users and sessions.

    Raises:
        ConfigError: outside of a project, without the extra ``auth``, or in production without keys.
    """
    global _service
    if _service is None:
        from .service import AuthService

        with _making:
            if _configured is None:
                raise ConfigError("auth is not configured", cure="run inside a project (turnout dev)")
            if _service is None:
                _service = AuthService.of(*_configured)
    return _service


def settings() -> AuthConfig:
    """The project's settings; all defaults outside of one."""
    from ..config import AuthConfig

    return _configured[0].auth if _configured is not None else AuthConfig()


async def begin() -> None:
    """Find out what the first request would have to wait for, or fail by.

    Raises:
        ConfigError: a route or the pages need users, and there are no keys or no address of the site.
    """
    if _configured is not None and _configured[1].get("SUPABASE_URL"):
        from . import hosted

        hosted.warm()
    elif _wanted:
        auth_service()


async def close() -> None:
    """Let go of the threads that hash passwords, and of connections to hosted Supabase."""
    if _service is not None:
        await _service.close()
    hosted = sys.modules.get(f"{__name__}.hosted")
    if hosted is not None:
        await hosted.close()


_LAZY = {
    "create_admin_client": ".client",
    "create_client": ".client",
    "get_user": ".guard",
    "require_user": ".guard",
}

__all__ = [
    "auth_service", "close", "configure", "create_admin_client", "create_client", "get_user", "require_user",
    "settings",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "auth":  # ``from turnout import auth`` is this package
        return sys.modules[__name__]
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name], __name__), name)
    globals()[name] = value
    return value
