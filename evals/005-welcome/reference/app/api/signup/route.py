"""POST /api/signup: a new account, and one welcome mail for it."""

from turnout import Request, Response
from turnout.auth import auth_service
from turnout.auth.models import CallContext

from lib.welcome import NewUser, welcome

auth = "public"
rate_limit = "10/min"


async def POST(request: Request, body: NewUser) -> Response:
    """Make the account; the mail is part of the transaction that does, so there is never one without the other.

    Whether the address was known before cannot be told from the answer, unless auto_confirm is set.
    """
    made = await auth_service().sign_up(
        body.email,
        body.password,
        data={"name": body.name},
        context=CallContext(request.ip, request.headers.get("user-agent")),
        on_new=welcome,
    )
    return Response.json({"id": made.user.id, "email": made.user.email} if made.user else None, status=201)
