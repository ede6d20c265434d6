"""GET and PATCH /api/profile: the profile of the signed-in user, and of nobody else.

Whose it is comes from the session and never from the request, so there is no id that could be somebody else's.
"""

from typing import Any

from turnout import Request

from lib.profiles import ProfileChanges, change_profile, get_profile

auth = "user"  # 401 for everybody else, before anything of the body is read


async def GET(request: Request) -> dict[str, Any]:
    """Read it; who has not written any yet gets an empty one."""
    return await get_profile(request.state.user.id)


async def PATCH(request: Request, body: ProfileChanges) -> dict[str, Any]:
    """Change what the body names."""
    return await change_profile(request.state.user.id, body)
