"""One HTTP request to a mail service, and what its answer means. httpx is imported when it is made."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from ..errors import ConfigError, MailError

_MAX_ANSWER = 100_000


@dataclass(frozen=True, slots=True)
class ServiceAnswer:
    """Status and body; the body is JSON where all is well, and anything at all where it is not."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def is_passing(self) -> bool:
        """Whether the same request may be taken later."""
        return self.status in (408, 425, 429) or self.status >= 500

    @property
    def retry_after_s(self) -> float | None:
        """How long the service asks to wait."""
        text = self.headers.get("retry-after", "")
        return float(text) if text.isdecimal() and len(text) < 7 else None

    def word(self, name: str) -> str:
        """The text that the body holds under *name*, shortened; nothing if it holds none."""
        try:
            value = json.loads(self.body)[name]
        except (ValueError, LookupError, TypeError, RecursionError):
            return ""
        return " ".join(value.split())[:200] if isinstance(value, str) else ""


@cache
def _context() -> ssl.SSLContext:
    # Reading all certificates takes longer than a request, so it is done once, and in a thread.
    import httpx

    return httpx.create_ssl_context()


async def post(url: str, body: bytes, headers: Mapping[str, str], timeout_s: float, service: str) -> ServiceAnswer:
    """Send *body* to *url*; redirects are not followed, as the key would go along.

    Raises:
        MailError: there was no answer; retryable, although the service may have taken the message.
        ConfigError: httpx is not installed.
    """
    try:
        import httpx
    except ImportError as exc:
        raise ConfigError(f"mail by {service} needs httpx", cure="pip install httpx") from exc

    try:
        context = await asyncio.to_thread(_context)
        async with asyncio.timeout(timeout_s), httpx.AsyncClient(timeout=timeout_s, verify=context) as client:
            request = client.build_request("POST", url, content=body, headers=dict(headers))
            answer = await client.send(request, stream=True)
            text = b""
            async for chunk in answer.aiter_bytes():
                text += chunk
                if len(text) > _MAX_ANSWER:
                    break
            await answer.aclose()
            return ServiceAnswer(answer.status_code, text, answer.headers)
    except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
        raise MailError(f"{service} cannot be reached ({type(exc).__name__})", retryable=True) from exc
    except (httpx.HTTPError, TimeoutError) as exc:
        doubt = "it may have taken the message all the same"
        raise MailError(f"{service} did not answer ({type(exc).__name__}); {doubt}", retryable=True) from exc
