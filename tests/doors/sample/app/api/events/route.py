from turnout import Response


async def GET(request):
    async def events():
        last = int(request.headers.get("last-event-id") or 0)
        for number in range(last + 1, last + 4):
            yield {"data": {"number": number}, "id": number}

    return Response.sse(events())
