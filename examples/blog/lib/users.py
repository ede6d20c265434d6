"""Accounts: Turnout's auth keeps them, in the app's own database or in hosted Supabase."""

from typing import Annotated, Any

from msgspec import Meta, Struct
from turnout import ActionError, Conflict, create_client
from turnout.auth import get_user
from turnout.auth.errors import AuthError

from lib.email import Email, OneLine


class NewUser(Struct, forbid_unknown_fields=True):
    email: Email
    password: Annotated[str, Meta(min_length=8, max_length=72)]
    name: OneLine = ""


async def signed_in() -> Any:
    """The user whose form this is.

    Raises:
        ActionError: nobody is signed in, or not any more; what was typed is kept.
    """
    user = await get_user()
    if user is None:
        raise ActionError("You are not signed in. Do that in another window, then send this again.")
    return user


async def create_user_account(new: NewUser) -> dict[str, Any]:
    """Create an account, sign its owner in, and give what they may see of it.

    Raises:
        Conflict: the address has an account.
    """
    supabase = await create_client()
    credentials = {"email": new.email, "password": new.password, "options": {"data": {"name": new.name}}}
    try:
        made = await supabase.auth.sign_up(credentials)
    except AuthError as exc:
        if exc.code == "user_already_exists":
            raise Conflict("There is an account with this e-mail address", code="email_taken") from None
        raise
    user, session = made.user, made.session
    # A browser is signed in by its cookies; the token is for other programs. There is none while an address
    # has to be confirmed first, which auto_confirm in pyproject.toml spares this example.
    return {
        "id": user.id,
        "email": user.email,
        "name": user.user_metadata["name"],
        "created_at": user.created_at,
        "token": session.access_token if session else None,
    }
