from turnout import CacheRule, revalidate_tag

cache = CacheRule(3600, tags=("kept",))
runs: dict[str, int] = {}


async def GET(request, key: str):
    runs[key] = runs.get(key, 0) + 1
    return {"run": runs[key]}


async def POST(request, key: str):
    await revalidate_tag("kept")
    return {"run": runs.get(key, 0)}
