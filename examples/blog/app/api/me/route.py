"""GET /api/me: who is asking."""

from turnout import Response, create_client


async def GET() -> Response:
    supabase = await create_client()
    user = (await supabase.auth.get_user()).user
    if not user:
        return Response.json({"error": "Unauthorized"}, status=401)
    return Response.json({"userId": user.id})
