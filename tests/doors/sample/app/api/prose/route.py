from turnout import Response

TEXT = "Ein Satz, der sich wiederholt: größer, schöner, weiter. " * 200


async def GET(request):
    if "html" in request.search_params:
        return Response.html(f"<p>{TEXT}</p>")
    return Response.text(TEXT, headers={"ETag": '"prose"'})
