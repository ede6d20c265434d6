"""Users, identities and sessions as the wire and the client show them: the fields of Supabase's Auth API.

Texts that are not known are ``""`` and not null where the clients expect text; moments are aware
datetimes, which JSON shows as RFC 3339. Passwords, codes and token hashes have no field here, so
nothing that is sent can hold one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class Identity(msgspec.Struct, kw_only=True, omit_defaults=False):
    """One way in which a user signs in.

    Attributes:
        identity_id: The row's own id; ``id`` is what the provider calls the user.
    """

    identity_id: str
    id: str
    user_id: str
    identity_data: dict[str, Any]
    provider: str
    email: str | None = None
    last_sign_in_at: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


def _sent(value: Any) -> Any:
    """A field that is sent although it is the default."""
    return msgspec.field(default_factory=lambda: value)


class User(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A user. ``user_metadata`` is written by the user: never decide by it.

    What has not happened yet is not sent, as null: callers ask whether the field is there.
    """

    id: str
    aud: str = _sent("authenticated")
    role: str = _sent("authenticated")
    email: str = _sent("")
    phone: str = _sent("")
    email_confirmed_at: datetime | None = None
    phone_confirmed_at: datetime | None = None
    confirmed_at: datetime | None = None
    confirmation_sent_at: datetime | None = None
    recovery_sent_at: datetime | None = None
    email_change_sent_at: datetime | None = None
    new_email: str | None = None
    invited_at: datetime | None = None
    last_sign_in_at: datetime | None = None
    banned_until: datetime | None = None
    app_metadata: dict[str, Any] = msgspec.field(default_factory=lambda: {})
    user_metadata: dict[str, Any] = msgspec.field(default_factory=lambda: {})
    identities: list[Identity] = msgspec.field(default_factory=lambda: [])
    factors: list[Any] | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    is_anonymous: bool = _sent(False)


class Session(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a signed-in client holds. ``expires_in`` is in seconds, ``expires_at`` in Unix seconds."""

    access_token: str
    refresh_token: str
    expires_in: int
    expires_at: int
    user: User
    token_type: str = _sent("bearer")
    provider_token: str | None = None
    provider_refresh_token: str | None = None
    weak_password: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"<Session of {self.user.id}>"  # without its tokens


class UserResponse(msgspec.Struct):
    """The user, or None when nobody is signed in."""

    user: User | None = None


class AuthResponse(msgspec.Struct):
    """The user, and a session if there is one already: until a sign-up is confirmed there is none."""

    user: User | None = None
    session: Session | None = None


class Message(msgspec.Struct):
    """In place of a session: what has to happen before there is one."""

    msg: str
    code: int = 200


class Link(msgspec.Struct, kw_only=True):
    """A link that an administrator asked for instead of having it mailed."""

    action_link: str
    email_otp: str
    hashed_token: str
    redirect_to: str
    verification_type: str


class CallContext(msgspec.Struct, frozen=True):
    """Who is calling: the client's address and what it calls itself."""

    ip: str | None = None
    user_agent: str | None = None
