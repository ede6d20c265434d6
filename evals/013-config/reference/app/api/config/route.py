"""GET /api/config: what the front end may know."""

from turnout import env


async def GET() -> dict[str, str]:
    return {"app_name": env["APP_NAME"]}
