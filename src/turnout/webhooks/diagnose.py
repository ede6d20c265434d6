"""Why a signature failed, for whoever is setting a webhook up: the mistakes that people make, tried one by one.

Only in development (``enabled``, set by the project): the tries cost time, and a stranger is told
nothing but 400. No secret and no right signature is ever part of what is said.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

from ..context import current
from ..env import env

logger = logging.getLogger("turnout.webhooks")

enabled = False
"""Whether reasons are looked for; the project sets it in development."""

Fits = Callable[[str, bytes], bool]

# What people paste in place of a signing secret, by its first letters.
_OTHER_KINDS = {
    "sk_": "an API key", "rk_": "a restricted API key", "pk_": "a publishable key", "we_": "the id of an endpoint",
    "ghp_": "an access token", "github_pat_": "an access token", "xox": "a token of a Slack app", "re_": "an API key",
}  # fmt: skip
_LOCAL = (None, "127.0.0.1", "::1")
_MAX_TRIED_BYTES = 1_000_000


def tell(why: str) -> None:
    """Log why a webhook was refused."""
    logger.warning("webhook refused: %s", why)


def may_show() -> bool:
    """Whether the caller may be told too: only one on this machine is."""
    request = current.get(None)
    return request is None or request.peer in _LOCAL


def clock(age_s: float, tolerance_s: float) -> str:
    """What to say of an event that is *age_s* old."""
    if age_s > 0:
        return (
            f"the signature is right, but {age_s:.0f} s old, and {tolerance_s:.0f} s are allowed: an old delivery that "
            "was sent again as it was, or this machine's clock is ahead"
        )
    return f"the signature is right, but its time is {-age_s:.0f} s from now: this machine's clock is behind"


def wrong_signature(provider: str, payload: bytes, secrets: tuple[str, ...], fits: Fits) -> str:
    """What is wrong, when none of *secrets* gives the signature for *payload*.

    Args:
        fits: Whether a secret gives it for a payload.
    """
    found = _secret_spelling(payload, secrets, fits) or _other_variable(payload, secrets, fits)
    if found is None and len(payload) <= _MAX_TRIED_BYTES:
        found = _other_body(payload, secrets, fits)
    return found or _secret_kind(secrets) or _which_endpoint(provider, payload, len(secrets))


def _secret_spelling(payload: bytes, secrets: tuple[str, ...], fits: Fits) -> str | None:
    for each in secrets:
        bare = each.strip()
        if bare != each and fits(bare, payload):
            return "there is white space before or after the secret; without it the signature is right"
        inner = bare.strip("\"'").strip()
        if inner not in (bare, "") and fits(inner, payload):
            return "there are quotes around the secret; without them the signature is right"
    return None


def _other_variable(payload: bytes, secrets: tuple[str, ...], fits: Fits) -> str | None:
    for name, value in env.items():
        if 8 <= len(value) <= 200 and value not in secrets and fits(value.strip(), payload):
            return f"the signature fits {name}, which this route was not given: the secret of another endpoint?"
    return None


def _other_body(payload: bytes, secrets: tuple[str, ...], fits: Fits) -> str | None:
    for body in _rewritten(payload):
        if any(fits(each, body) for each in secrets):
            return (
                "the body was decoded and written anew before it was verified, or a proxy changed it; "
                "verify await request.bytes(), before anything else reads it"
            )
    return None


def _rewritten(payload: bytes) -> Iterator[bytes]:
    """*payload* as the sender may have written it, before somebody wrote it anew."""
    yield payload.rstrip(b"\r\n")
    yield payload.replace(b"\r\n", b"\n")
    for end in (b"\n", b"\r\n"):
        yield payload + end
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError):
        return
    shapes: list[dict[str, Any]] = [{"separators": (",", ":")}, {}, {"indent": 2}, {"indent": 4}]
    for shape in shapes:
        for ascii_only in (True, False):
            text = json.dumps(value, ensure_ascii=ascii_only, **shape)
            body = text.encode(errors="surrogatepass")
            yield body
            yield body + b"\n"
            yield body.replace(b"/", rb"\/")  # as PHP writes it


def _secret_kind(secrets: tuple[str, ...]) -> str | None:
    for each in secrets:
        for prefix, kind in _OTHER_KINDS.items():
            if each.strip().startswith(prefix):
                return f"what was given as the signing secret is {kind}, by its first letters"
    return None


def _which_endpoint(provider: str, payload: bytes, count: int) -> str:
    tried = "the secret does not fit" if count == 1 else f"none of the {count} secrets fits"
    if provider != "stripe":
        return f"{tried}: it is another endpoint's, or the body is not as it was sent"
    return f"{tried}: each endpoint, test mode, live mode and `stripe listen` have secrets of their own{_mode(payload)}"


def _mode(payload: bytes) -> str:
    try:
        live = json.loads(payload)["livemode"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return f"; this event is of {'live' if live else 'test'} mode"
