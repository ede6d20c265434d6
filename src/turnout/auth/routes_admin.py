"""The auth wire for administrators: users, invitations and links, by the service_role key.

Who may call is decided by the table in ``routes``; nothing here is reached otherwise.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import msgspec

from ..http.response import Response
from .call import Call, answer
from .errors import AuthError

MAX_PER_PAGE = 1000


async def list_users(call: Call) -> Response:
    """One page of the users, with their number and the way to the other pages."""
    page, per_page = _number(call, "page", 1), min(_number(call, "per_page", 50), MAX_PER_PAGE)
    users, total = await call.service.list_users(page=page, per_page=per_page)
    headers = {"x-total-count": str(total), "link": _links(call, page, per_page, total)}
    return answer({"users": users, "aud": "authenticated"}, headers=headers)


def _number(call: Call, name: str, default: int) -> int:
    text = call.query(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise AuthError("validation_failed", f"Bad Pagination Parameters: {name} must be a whole number")
    return int(text) or default


def _links(call: Call, page: int, per_page: int, total: int) -> str:
    """Where the next and the last page are (RFC 8288); clients read the page numbers out of it."""
    last = max(1, -(-total // per_page))
    wanted = {"next": page + 1} if page < last else {}
    return ", ".join(
        f'<{call.request.path}?{urlencode({"page": number, "per_page": per_page})}>; rel="{rel}"'
        for rel, number in {**wanted, "last": last}.items()
    )


async def create_user(call: Call) -> Response:
    """A new user, without a mail."""
    return answer(await call.service.admin_create_user(**_attributes(call), id=call.text("id")))


async def get_user(call: Call) -> Response:
    """One user."""
    return answer(await call.service.admin_get_user(user_id(call)))


async def update_user(call: Call) -> Response:
    """Change what the body names, and nothing else."""
    return answer(await call.service.admin_update_user(user_id(call), **_attributes(call)))


async def delete_user(call: Call) -> Response:
    """Delete a user, or with ``should_soft_delete`` make the account unusable and keep its row."""
    await call.service.admin_delete_user(user_id(call), soft=call.flag("should_soft_delete") or False)
    return answer({})


async def invite(call: Call) -> Response:
    """A new user, and a mail that lets them in."""
    email = call.needed("email", "An email address is required")
    user = await call.service.invite(email, data=call.data(), redirect_to=call.redirect_to, context=call.context)
    return answer(user)


async def generate_link(call: Call) -> Response:
    """The link and the code that a mail would have carried, for programs that send their own."""
    user, link = await call.service.generate_link(
        call.needed("type", "Invalid email action link type requested"),
        call.needed("email", "An email address is required"),
        password=call.text("password"),
        new_email=call.text("new_email"),
        data=call.data(),
        redirect_to=call.redirect_to or call.text("redirect_to"),
    )
    return answer(msgspec.structs.asdict(link) | msgspec.structs.asdict(user))


def user_id(call: Call) -> str:
    """The user's id in the path.

    Raises:
        AuthError: 404, it is no UUID.
    """
    try:
        return str(UUID(call.holes[0]))
    except ValueError:
        raise AuthError("validation_failed", "user_id must be an UUID") from None


def _attributes(call: Call) -> dict[str, Any]:
    """The fields of a user that an administrator may set, as far as the body names them."""
    if call.text("phone") is not None:
        raise AuthError("phone_provider_disabled", "Phones are not offered here")
    given = {
        "email": call.text("email"),
        "password": call.text("password"),
        "password_hash": call.text("password_hash"),
        "user_metadata": call.data("user_metadata"),
        "app_metadata": call.data("app_metadata"),
        "email_confirm": call.flag("email_confirm"),
        "ban_duration": call.text("ban_duration"),
        "role": call.text("role"),
    }
    return {name: value for name, value in given.items() if value is not None}
