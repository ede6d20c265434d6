"""GET /api/weather, as the prompt says."""

import asyncio

import httpx
import pytest


class Service:
    """The other side, in place of the network."""

    def __init__(self):
        self.asked, self.answer, self.wait_s = [], httpx.Response(200, json={"sky": "clear"}), 0.0


@pytest.fixture(autouse=True)
def service(monkeypatch):
    service = Service()

    async def handle(transport, request):
        service.asked.append(request)
        await asyncio.sleep(service.wait_s)
        return service.answer

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", handle)
    return service


async def test_the_answer_is_passed_on(client, service):
    answer = await client.get("/api/weather?city=Paris")

    assert (answer.status, answer.json()) == (200, {"sky": "clear"})
    (request,) = service.asked
    assert (request.url.host, request.url.params["city"]) == ("weather.example", "Paris")
    assert request.headers["authorization"] == "Bearer key-for-evals"


async def test_a_slow_service_is_502_within_the_time(client, service):
    service.wait_s = 30

    answer = await client.get("/api/weather?city=Paris", max_duration_s=6)

    assert answer.status == 502


async def test_a_broken_service_is_502(client, service):
    for broken in (httpx.Response(500), httpx.Response(200, text="<html>"), httpx.Response(404)):
        service.answer = broken
        assert (await client.get("/api/weather?city=Paris")).status == 502
