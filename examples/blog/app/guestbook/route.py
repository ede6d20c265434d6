"""GET /guestbook: what was written, and the form to write more. events/ is its live part."""

from turnout import Response, render

from lib import guestbook


async def GET() -> Response:
    return render("guestbook.html", entries=await guestbook.latest())
