from turnout import redirect


async def GET(request):
    to = request.search_params.get("to") or "/"
    return redirect(to, int(request.search_params.get("status") or 307), external=to.startswith("https:"))


POST = GET
