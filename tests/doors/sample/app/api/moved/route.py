from turnout import redirect


async def GET(request):
    return redirect("/api/hello?from=café", 303)
