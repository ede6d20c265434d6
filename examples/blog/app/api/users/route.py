"""POST /api/users: small, because the work is in lib/."""

from turnout import Response

from lib.email import send_welcome_email
from lib.supabase.server import create_session
from lib.users import NewUser, create_user_account


async def POST(body: NewUser) -> Response:
    user = await create_user_account(body)
    token = await create_session(user["id"])
    await send_welcome_email(user["email"])
    return Response.json({**user, "token": token}, headers={"Cache-Control": "no-store"})
