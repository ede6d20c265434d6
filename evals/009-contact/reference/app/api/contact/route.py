"""POST /api/contact: a message from a visitor, mailed to CONTACT_EMAIL.

The page has a field "website" that people do not see. Robots fill it in; they are thanked, and nothing is sent.
"""

from turnout import MailError, Response, ServiceUnavailable

from lib.contact import Message, send_message

auth = "public"
rate_limit = "5/10 min"
body_limit = "64 KB"


async def POST(body: Message) -> Response:
    """Send it on; where the mail server is away, the visitor is asked to try again."""
    if not body.website:
        try:
            await send_message(body)
        except MailError as exc:
            raise ServiceUnavailable("The message could not be sent; please try again later") from exc
    return Response.json({"sent": True}, status=202)
