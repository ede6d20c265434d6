"""What auth takes for an address, mail takes too: else a sign-up would end in a 500."""

from __future__ import annotations

from typing import Any, cast

import pytest

from turnout.auth.core import AuthCore
from turnout.auth.errors import AuthError
from turnout.mail import parse_address


def taken(text: str) -> str:
    return AuthCore.email(cast(Any, None), text)


def test_an_ordinary_address_is_taken_by_both() -> None:
    assert taken(" Ada.B+c@Example.com ") == "ada.b+c@example.com" == parse_address("Ada.b+c@example.com").email.lower()


@pytest.mark.parametrize(
    "text", ["a..b@c.co", ".a@b.co", "a@192.0.2.7", "=?x@b.co", "ada@b", "ada", "ada@b.co\nBcc: x@y.co"]
)
def test_an_address_that_mail_would_refuse_is_refused_at_the_door(text: str) -> None:
    with pytest.raises(AuthError, match="invalid format"):
        taken(text)
