"""What every sender's signature has in common: bytes, secrets, digests, a clock.

Each sender's own scheme is in the file of its name. A digest is HMAC-SHA256, compared in constant
time; every candidate is compared with every secret, so the time taken tells nobody which came
close. Any failure is a SignatureError, which a client sees as one and the same 400; why it failed
is said in development only (``diagnose.py``).
"""

from __future__ import annotations

import hmac
import math
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from ..env import Secret, env
from ..errors import BadRequest, ConfigError
from ..http import jsontext
from . import diagnose

TOLERANCE_S = 300
MAX_SIGNATURES = 32  # a field full of them would cost us more than it costs to send
# Digits and nothing else: int() would also take " 12", "+12" and "1_2", which nobody signs.
_is_time = re.compile(r"(?:0|[1-9][0-9]{0,11})", re.ASCII).fullmatch
_is_id = re.compile(r"[\x21-\x7e]{1,255}").fullmatch
_is_name = re.compile(r"[A-Z_][A-Z0-9_]*").fullmatch

Secrets = str | Secret | Iterable[str | Secret]
Reason = Literal["missing", "malformed", "mismatch", "old", "early"]


class SignatureError(BadRequest):
    """400: this did not come from whom it claims to, or not now.

    Attributes:
        reason: Why, in a word for programs: ``missing``, ``malformed``, ``mismatch``, ``old`` or ``early``.
    """

    code = "invalid_signature"

    def __init__(self, reason: Reason, why: str = "") -> None:
        super().__init__(f"Invalid signature: {why}" if why else "Invalid signature")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Event:
    """One event whose signature was right.

    Attributes:
        provider: ``stripe``, ``standard``, ``github`` or ``slack``.
        id: The sender's id of it; the same each time it is delivered.
        type: What happened: ``checkout.session.completed``; with GitHub ``issues.opened``.
        data: What it is about, as the sender's documentation shows it.
        payload: The whole body, decoded; ``event["created"]`` reads from it.
    """

    provider: str
    id: str
    type: str
    data: Any
    payload: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.payload[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The member *name* of the payload, or *default*."""
        return self.payload.get(name, default)


def check_payload(payload: object) -> None:
    """Refuse a payload that is not the bytes as received.

    Raises:
        TypeError: it is something else; text and decoded JSON no longer are what was signed.
    """
    if type(payload) is not bytes:
        raise TypeError(
            f"the payload is a {type(payload).__name__}, but the signature is over the bytes as they came; "
            "pass await request.bytes()"
        )


def texts(secrets: Secrets) -> tuple[str, ...]:
    """The secrets as texts.

    Raises:
        ConfigError: there is none, or one is empty: anybody could sign with that.
        TypeError: one is no text.
    """
    if isinstance(secrets, (str, Secret)):
        secrets = (secrets,)
    found = tuple(each.reveal() if isinstance(each, Secret) else each for each in secrets)
    for each in found:
        if not isinstance(each, str):
            raise TypeError(f"a signing secret is a str or a Secret, not a {type(each).__name__}")
    if not found or not all(map(str.strip, found)):
        raise ConfigError(
            "there is no signing secret, or an empty one", cure="pass the secret that the sender shows for this address"
        )
    return found


def from_env(names: tuple[str, ...]) -> tuple[str, ...]:
    """The secrets in the variables *names*; those that are not set are passed over.

    Raises:
        ConfigError: none of them is set.
    """
    found = tuple(filter(str.strip, (env.get(name, "") for name in names)))
    if not found:
        first = names[0]
        raise ConfigError(
            f"{first} is {'empty' if first in env else 'missing'}, so no webhook can be verified; "
            f"looked at {env.looked_at()}",
            cure=f"add {first}=... to .env.local (this machine only) or set it where the server is started",
        )
    return found


def env_names(names: str) -> tuple[str, ...]:
    """The variables that *names* lists: ``"NEW, OLD"``.

    Raises:
        ConfigError: one is no name of a variable; a secret itself perhaps.
    """
    wanted = tuple(name.strip() for name in names.split(","))
    for name in wanted:
        # Capitals only: a secret given as a text would be looked up, not be found, and be shown in the log.
        if not _is_name(name):
            raise ConfigError(
                "secrets= as a text is the name of an environment variable in capitals, and this is none",
                cure='secrets="STRIPE_WEBHOOK_SECRET", or a list of the secrets themselves',
            )
    return wanted


def check_tolerance(tolerance_s: float) -> None:
    """Refuse a tolerance that would switch the check off.

    Raises:
        ValueError: it is not a finite number over 0.
    """
    if not (isinstance(tolerance_s, (int, float)) and 0 < tolerance_s < math.inf):
        raise ValueError(f"tolerance is a number of seconds over 0, not {tolerance_s!r}")


def parse_time(text: str) -> int | None:
    """Unix seconds as senders write them, or None."""
    return int(text) if _is_time(text) else None


def digest(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA256."""
    return hmac.digest(key, message, "sha256")


def any_equal(given: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether one of *given* is one of *wanted*; every pair is compared, each in constant time."""
    # A list, as any() over a generator would stop at the first hit.
    hits = [hmac.compare_digest(each.encode(), want.encode()) for each in given for want in wanted]
    return True in hits


def check_age(stamp_s: int, tolerance_s: float, now_s: float | None) -> None:
    """Refuse a time that is too far from now on either side.

    Raises:
        SignatureError: it is.
    """
    age_s = (time.time() if now_s is None else now_s) - stamp_s
    if abs(age_s) > tolerance_s:
        refuse("old" if age_s > 0 else "early", diagnose.clock(age_s, tolerance_s))


def refuse(reason: Reason, why: str) -> NoReturn:
    """Raise SignatureError; *why* goes to the log, and to a caller on this machine, in development only."""
    if diagnose.enabled:
        diagnose.tell(why)
    raise SignatureError(reason, why if diagnose.enabled and diagnose.may_show() else "")


def check_any_equal(
    provider: str, payload: bytes, secrets: tuple[str, ...], given: Sequence[str], made: Callable[[str, bytes], str]
) -> None:
    """Check that one of *secrets* gives one of the signatures in *given*.

    Args:
        made: The signature that a secret gives for a body. In development it is asked for other secrets and
            bodies too, to find out why none fits.

    Raises:
        SignatureError: none of them does.
    """
    if any_equal(given, [made(each, payload) for each in secrets]):
        return

    def fits(secret: str, body: bytes) -> bool:
        try:
            return any_equal(given, [made(secret, body)])
        except ConfigError:  # a changed secret may be none
            return False

    refuse("mismatch", diagnose.wrong_signature(provider, payload, secrets, fits) if diagnose.enabled else "")


def parse_payload(payload: bytes) -> dict[str, Any]:
    """The JSON object in a body.

    Raises:
        BadRequest: it is something else.
    """
    found = jsontext.loads(payload)
    if not isinstance(found, dict):
        raise BadRequest("The event is not a JSON object")
    return found


def check_id(found: object) -> str:
    """The id of an event, which must be one that any database stores.

    Raises:
        BadRequest: there is none, or it is over 255 characters or not visible ASCII.
    """
    if not isinstance(found, str) or not _is_id(found):
        raise BadRequest("The event has no id of 1 to 255 visible ASCII characters")
    return found


def check_type(found: object) -> str:
    """The type of an event; "" where it has none.

    Raises:
        BadRequest: it is over 255 characters or not visible ASCII.
    """
    if found is None or found == "":
        return ""
    if not isinstance(found, str) or not _is_id(found):
        raise BadRequest("The event has a type that is not a text of visible ASCII characters")
    return found
