"""Bound arguments as a text that only this project can read, and nobody can change or use for another action.

AES-256-GCM (NIST SP 800-38D) under a key derived from each signing key of auth; the action's id is authenticated
with it. The first key seals and all open, so keys can be rotated. What is inside is JSON.
"""

from __future__ import annotations

import base64
import binascii
import os
from typing import Any

from ..errors import BadRequest
from ..http import jsontext
from . import registry

_PURPOSE = b"bound arguments"
_NONCE_BYTES, _TAG_BYTES = 12, 16


def seal(action_id: str, arguments: dict[str, Any]) -> str:
    """The text for *arguments* of the action; another one each time.

    Raises:
        TypeError: a value has no JSON form.
        ConfigError: there is no key.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE_BYTES)
    sealed = AESGCM(_secrets()[0]).encrypt(nonce, jsontext.dumps(arguments), _context(action_id))
    return base64.urlsafe_b64encode(nonce + sealed).rstrip(b"=").decode()


def unseal(action_id: str, text: str) -> bytes:
    """The JSON that was sealed for this action.

    Raises:
        BadRequest: it was not, or has been changed.
        ConfigError: there is no key.
    """
    secrets = _secrets()
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    raw = _decoded(text)
    for secret in secrets:
        try:
            return AESGCM(secret).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _context(action_id))
        except InvalidTag:
            continue
    raise _refused()


def _decoded(text: str) -> bytes:
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise _refused() from None
    # The decoder skips what is no base64 and ignores the last bits: one text for one value, or it is another's.
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != text or len(raw) < _NONCE_BYTES + _TAG_BYTES:
        raise _refused()
    return raw


def _secrets() -> list[bytes]:
    return [key.derived(_PURPOSE) for key in registry.keys().ring if key.secret]


def _context(action_id: str) -> bytes:
    return b"turnout action 1\0" + action_id.encode()


def _refused() -> BadRequest:
    return BadRequest("What the page had filled in for you cannot be read: load the page again", code="invalid_bound")
