"""On whose behalf a query runs: a role and the claims of a token that somebody else has verified.

``None`` in place of a Scope is the program itself, which no policy restricts. This is all that
authentication hands to the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import force_setattr

from .errors import error
from .schema import NAME

BYPASS = "service_role"


class Scope(Struct, frozen=True):
    """A role, and what is known about its user.

    Args:
        role: ``anon``, ``authenticated``, ``service_role`` (which row policies do not restrict), or
            a role of your own.
        claims: The verified claims of the user's token; ``sub`` is the user's id.
    """

    role: str
    claims: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.role, str) or not NAME.match(self.role):
            raise error("22023", f"{str(self.role)[:40]!r} is not the name of a role", status=403)
        # One role, wherever a policy looks for it.
        force_setattr(self, "claims", {**self.claims, "role": self.role})

    def claim(self, path: tuple[str, ...]) -> Any:
        """The claim at *path*, or None where there is none."""
        found: Any = self.claims
        for step in path:
            found = found.get(step) if isinstance(found, Mapping) else None
        return found
