"""What each code of a finding means: one line, for people and for models."""

from __future__ import annotations

from . import lint, policy, protocol
from .gates.codes import CODES


def explain(code: str) -> str | None:
    """The meaning of *code*, such as ``TRN104``; None if there is no such code."""
    return codes().get(code.upper())


def codes() -> dict[str, str]:
    """Every code with its meaning."""
    return {**lint.CODES, **policy.CODES, **protocol.CODES, **CODES}
