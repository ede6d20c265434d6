"""Users, sessions and tokens: ``auth_service()`` is the project's one, made when it is first used.

Nothing here is loaded, no key is read and no table is made in a project that does not use it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import ConfigError

if TYPE_CHECKING:
    from ..config import Config
    from .service import AuthService

_configured: tuple[Config, Mapping[str, str]] | None = None
_service: AuthService | None = None
_making = threading.Lock()


def configure(config: Config, env: Mapping[str, str]) -> None:
    """Say which project :func:`auth_service` is for; the one of the project before is let go."""
    global _configured, _service
    with _making:
        _configured, _service = (config, env), None


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


async def close() -> None:
    """Let go of the threads that hash passwords."""
    if _service is not None:
        await _service.close()


__all__ = ["auth_service", "close", "configure"]
