"""GET /api/external: ask another service with a key that stays on this side."""

import asyncio

import httpx
from turnout import ConfigError, HTTPError, Response, Secret, Settings

TIMEOUT_S = 5

# One client per worker: it keeps connections open between calls.
client = httpx.AsyncClient()


class External(Settings):
    external_api_url: str
    external_api_key: Secret  # prints as Secret(***), also in logs and tracebacks


async def GET() -> Response:
    try:
        settings = External()
        # httpx's own time-outs start anew with every byte; this one is for the whole call.
        async with asyncio.timeout(TIMEOUT_S):
            response = await client.get(
                settings.external_api_url,
                headers={"Authorization": f"Bearer {settings.external_api_key.reveal()}"},
            )
        return Response.json(response.raise_for_status().json())
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError, ConfigError) as exc:
        # The client learns that it failed, the log (through `from exc`) why.
        raise HTTPError(502, "The external service did not answer as it should") from exc
