rate_limit = "1/h"


async def GET(request):
    return {"ok": True}
