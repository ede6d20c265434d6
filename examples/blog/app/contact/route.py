"""GET /contact: a form for who has no account; actions.py takes it."""

from turnout import Response, render


async def GET() -> Response:
    return render("contact.html")
