"""The service in WEATHER_URL: one question, one answer in JSON, within a time and a size."""

import asyncio
import json
from typing import Any

import httpx
from turnout import HTTPError, Secret, Settings

LARGEST = 1_000_000  # bytes of an answer


class Weather(Settings):
    """Where the service is, and how we may ask it."""

    weather_url: str
    weather_key: Secret | None = None
    weather_timeout_s: float = 2


async def ask_weather(city: str) -> Any:
    """What the service says about *city*.

    Raises:
        HTTPError: 502: it is away, slow, refuses, or says what is no JSON.
    """
    settings = Weather()
    key = settings.weather_key
    headers = {"accept": "application/json"}
    if key is not None:
        headers["authorization"] = f"Bearer {key.reveal()}"
    try:
        # httpx's own time-outs begin anew with every byte; this one is for the whole call.
        async with asyncio.timeout(settings.weather_timeout_s):
            return await _get(settings.weather_url, {"city": city}, headers)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError) as exc:
        # The client learns that it failed; the log, through "from exc", why.
        raise HTTPError(502, "The service did not answer as it should") from exc


async def _get(url: str, params: dict[str, str], headers: dict[str, str]) -> Any:
    """The JSON at *url*. Redirects are not followed: the key would go wherever they lead."""
    async with (
        httpx.AsyncClient() as client,
        client.stream("GET", httpx.URL(url).copy_merge_params(params), headers=headers) as response,
    ):
        if response.status_code != 200:
            raise ValueError(f"status {response.status_code}")
        body = bytearray()
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > LARGEST:
                raise ValueError(f"more than {LARGEST} bytes")
    return json.loads(body)
