"""POST /api/users: small, because the work is in lib/."""

from turnout import Response

from lib.email import send_welcome_email
from lib.users import NewUser, create_user_account

auth = "public"


async def POST(body: NewUser) -> Response:
    user = await create_user_account(body)
    await send_welcome_email(user["email"])
    return Response.json(user)
