"""What went wrong, as a page for people. The API and other programs get Turnout's own answers."""

from turnout import HTTPError, Request, Response, render

TITLES = {403: "That is somebody else's", 404: "Nothing here", 422: "That did not fit", 429: "A little slower, please"}


async def error(exc: Exception, request: Request) -> Response | None:
    wants_page = "text/html" in (request.headers.get("accept") or "")
    if not isinstance(exc, HTTPError) or exc.status == 401 or not wants_page or request.path.startswith("/api/"):
        return None
    page = render("error.html", title=TITLES.get(exc.status, "That did not work"), detail=exc.detail or "")
    page.status = exc.status
    for name, value in exc.headers:
        page.headers.append(name, value)
    return page
