from pathlib import Path

from turnout import Response


async def GET(request):
    return Response.file(Path(__file__).with_name("letters.txt"), filename="letters.txt")
