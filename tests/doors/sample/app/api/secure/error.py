from turnout import Response


async def error(exc, request):
    if isinstance(exc, LookupError):
        return Response.json({"error": "mended"}, status=404)
    return None
