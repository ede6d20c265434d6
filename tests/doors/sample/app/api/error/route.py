from turnout import HTTPError


class SlugTaken(HTTPError):
    status = 409
    code = "slug_taken"


async def GET(request):
    kind = request.search_params.get("kind")
    if kind == "http":
        raise HTTPError(418, "I am a teapot", headers=[("X-Pot", "tea")])
    if kind == "own":
        raise SlugTaken("That slug is taken")
    if kind == "cause":
        raise HTTPError(502, "Upstream failed") from ValueError("s3cret")
    raise RuntimeError("s3cret")
