"""GET /api/me: who is asking."""

from turnout import Response

from lib.supabase.server import create_client


async def GET() -> Response:
    supabase = await create_client()
    user = (await supabase.auth.get_user()).user
    if user is None:
        return Response.json({"error": "Unauthorized"}, status=401, headers={"WWW-Authenticate": "Bearer"})
    return Response.json({"userId": user.id}, headers={"Cache-Control": "no-store"})
