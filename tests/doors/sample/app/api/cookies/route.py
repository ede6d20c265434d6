from turnout import Response, cookies


async def GET(request):
    response = Response.json(request.cookies)
    response.set_cookie("seen", "yes", max_age=60)
    cookies().set("theme", "dark")
    return response
