"""One turn of a language model, from any provider, under one budget of requests, tokens and money.

The only file that imports ``pydantic_ai`` (extra ``[ai]``, in the function that needs it); its types
do not leave it. The wire of a provider is theirs; when to try again, when to stop reading and when
the money is spent is decided here, since a retry that a library makes quietly costs money too.
Answers are streamed, so that one that never ends is cut and progress is seen.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from msgspec import Struct

from ..errors import ConfigError, TurnoutError

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage
    from pydantic_ai.models import Model as ProviderModel

TRIES = 4
LONGEST_WAIT_S = 60.0
LONGEST_ANSWER = 400_000  # characters
OLLAMA = "http://127.0.0.1:11434/v1"

# The variable that holds a provider's key, and the model that is taken when its key is the only one.
KEYS = {
    "ANTHROPIC_API_KEY": "anthropic:claude-sonnet-5-5",
    "OPENAI_API_KEY": "openai:gpt-6.1-terra",
    "GOOGLE_API_KEY": "google:gemini-3.8-flash",
}


class ModelError(TurnoutError):
    """No usable answer: what the provider said, in one line."""


class BudgetSpent(ModelError):
    """The next request could cost more than is left."""


class Message(Struct, frozen=True):
    """One message as it is sent: ``system`` or ``user``."""

    role: str
    text: str


class Reply(Struct, frozen=True):
    """One answer.

    Attributes:
        cut: Whether it was ended by a limit and not by the model.
    """

    text: str
    cut: bool = False


class Budget(Struct):
    """What one run may use, retries and repairs together, and what it has used.

    Attributes:
        cost_usd: None as soon as the price of a request is not known; then only tokens are limited.
    """

    max_requests: int = 12
    max_tokens: int = 200_000
    max_cost_usd: float | None = 0.5
    answer_tokens: int = 8_000
    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float | None = 0.0

    def room(self, prompt_tokens: int, price: Price | None) -> int:
        """How many tokens the next answer may have.

        Raises:
            BudgetSpent: not enough for an answer is left.
        """
        if self.requests >= self.max_requests:
            raise BudgetSpent(f"the budget of {self.max_requests} requests is spent")
        left = self.max_tokens - self.tokens_in - self.tokens_out - prompt_tokens
        if left < 200:
            raise BudgetSpent(f"the budget of {self.max_tokens} tokens is spent")
        if price is not None and price.output > 0 and self.max_cost_usd is not None:
            money = self.max_cost_usd - (self.cost_usd or 0.0) - prompt_tokens * price.input
            if (affordable := int(money / price.output)) < 200:
                raise BudgetSpent(f"the budget of ${self.max_cost_usd:g} would be overrun; --max-cost raises it")
            left = min(left, affordable)
        return min(left, self.answer_tokens)

    def used(self, tokens_in: int, tokens_out: int, price: Price | None) -> None:
        """Note one request."""
        self.requests += 1
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out
        if price is None:
            self.cost_usd = None
        elif self.cost_usd is not None:
            self.cost_usd += tokens_in * price.input + tokens_out * price.output


class Price(Struct, frozen=True):
    """US dollars for one token."""

    input: float
    output: float


class Model(Protocol):
    """What the pipeline needs of a model."""

    name: str
    place: str
    local: bool

    async def turn(
        self, messages: list[Message], budget: Budget, on_text: Callable[[str], None] | None = None
    ) -> Reply: ...

    async def close(self) -> None: ...


def choose(given: str | None, setting: str | None, environment: Mapping[str, str]) -> str | None:
    """Which model is meant: *given* on the command line, ``TURNOUT_AI_MODEL``, the setting, or the one key there is."""
    if said := given or environment.get("TURNOUT_AI_MODEL") or setting:
        return said
    found = [model for name, model in KEYS.items() if environment.get(name)]
    return found[0] if len(found) == 1 else None


def open_model(
    name: str, environment: Mapping[str, str], *, base_url: str | None = None, timeout_s: float = 600
) -> Model:
    """The model called *name*, ``provider:model``; nothing is sent yet.

    Args:
        base_url: Where an OpenAI-compatible server listens; ``TURNOUT_AI_BASE_URL`` wins.

    Raises:
        ConfigError: the name has no provider, its package is not installed, or it has no key.
    """
    provider, colon, model = name.partition(":")
    if not colon or not model:
        raise ConfigError(f"{name!r} names no model", cure="write provider:model, such as ollama:qwen2.5-coder")
    url = environment.get("TURNOUT_AI_BASE_URL") or base_url or (OLLAMA if provider == "ollama" else None)
    return _Provider(name, provider, model, url, environment, timeout_s)


class _Provider:
    """A model behind pydantic_ai, made when first asked: importing that takes seconds."""

    def __init__(
        self, name: str, provider: str, model: str, url: str | None, environment: Mapping[str, str], timeout_s: float
    ) -> None:
        self.name = name
        self.provider, self.model, self.url = provider, model, url
        self.environment = environment
        self.timeout_s = timeout_s
        host = urlsplit(url).hostname if url else None
        self.local = host in ("localhost", "127.0.0.1", "::1")
        self.place = host or provider
        self._opened: ProviderModel | None = None
        self._price: Price | None = None

    async def turn(
        self, messages: list[Message], budget: Budget, on_text: Callable[[str], None] | None = None
    ) -> Reply:
        """Send *messages* and read the answer, again after a failure that may pass.

        Raises:
            BudgetSpent: *budget* does not allow another request.
            ModelError: no answer; the message says why.
        """
        tokens = sum(len(message.text) for message in messages) // 3
        for number in range(1, TRIES + 1):
            room = budget.room(tokens, self.price())
            try:
                async with asyncio.timeout(self.timeout_s):
                    return await self._once(messages, room, budget, tokens, on_text)
            except TimeoutError as exc:
                raise ModelError(f"{self.place} had not answered after {self.timeout_s:g} s") from exc
            except _Passing as exc:
                if number == TRIES or (exc.wait_s or 0) > LONGEST_WAIT_S:
                    raise ModelError(f"{self.place}: {exc}") from exc
                await asyncio.sleep(exc.wait_s if exc.wait_s is not None else 0.5 * 2**number * random.random())
        raise AssertionError("the last try returns or raises")

    async def _once(
        self,
        messages: list[Message],
        room: int,
        budget: Budget,
        tokens: int,
        on_text: Callable[[str], None] | None,
    ) -> Reply:
        from pydantic_ai.direct import model_request_stream
        from pydantic_ai.messages import PartDeltaEvent, PartStartEvent, TextPart, TextPartDelta

        settings: Any = {"max_tokens": room, "temperature": 0.0, "timeout": self.timeout_s}
        pieces: list[str] = []
        length, cut = 0, False
        used: tuple[int, int] | None = None
        try:
            async with model_request_stream(self._open(), _sent(messages), model_settings=settings) as stream:
                async for event in stream:
                    new = ""
                    if isinstance(event, PartStartEvent) and isinstance(event.part, TextPart):
                        new = event.part.content
                    elif isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
                        new = event.delta.content_delta
                    pieces.append(new)
                    length += len(new)
                    if on_text is not None and new:
                        on_text(new)
                    # A server that ignores max_tokens would otherwise be read for ever.
                    if length > min(LONGEST_ANSWER, room * 12):
                        cut = True
                        break
                if not cut:
                    answer = stream.get()
                    cut = answer.finish_reason == "length"
                    used = answer.usage.input_tokens, answer.usage.output_tokens
                    # The library takes a stream that just ends for a whole answer; its details tell.
                    if self.url is not None and "finish_reason" not in (answer.provider_details or {}):
                        raise _Passing("the answer was cut off on its way")
        except _Passing:
            raise
        except (ConfigError, asyncio.CancelledError, TimeoutError):
            raise
        except Exception as exc:
            raise self._judged(exc) from exc
        finally:
            # What no usage was told for is counted by length: a request that failed half-way costs too.
            spent = used if used and any(used) else (tokens, length // 4)
            budget.used(*spent, self.price())
        return Reply("".join(pieces), cut)

    def _judged(self, exc: Exception) -> TurnoutError:
        """*exc* of any library below as one of two kinds: it may pass, or it does not."""
        from pydantic_ai.exceptions import ModelHTTPError, UserError

        if isinstance(exc, UserError):
            return ModelError(_short(exc))
        status = getattr(exc, "status_code", None)
        if isinstance(exc, ModelHTTPError) and status is not None:
            if status in (401, 403):
                return ModelError(f"{self.place} refused the key ({status})")
            if status in (408, 409, 425, 429) or status >= 500:
                return _Passing(f"answered {status}", _retry_after(exc.headers))
            return ModelError(f"{self.place} answered {status}: {_short(exc)}")
        return _Passing(_short(exc) or type(exc).__name__)

    async def close(self) -> None:
        """End the connections."""
        client = getattr(self._opened, "client", None)
        if client is not None and self.url is not None:
            await client.close()

    def price(self) -> Price | None:
        """Dollars for a token; nothing for a model on this machine; None where it is not known."""
        if self.local:
            return Price(0.0, 0.0)
        if self._price is None:
            self._price = _listed_price(self.provider, self.model)
        return self._price

    def _open(self) -> ProviderModel:
        if self._opened is None:
            try:
                self._opened = self._made()
            except ImportError as exc:
                raise ConfigError(
                    f"a model of {self.provider} needs a package that is not installed: {exc}",
                    cure='pip install "turnout[ai]"'
                    if self.provider in ("openai", "ollama")
                    else f'pip install "turnout[ai]" "pydantic-ai-slim[{self.provider}]"',
                ) from exc
        return self._opened

    def _made(self) -> ProviderModel:
        if self.url is None:
            return self._inferred()
        from openai import AsyncOpenAI
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        key = self.environment.get("TURNOUT_AI_KEY") or self.environment.get("OPENAI_API_KEY")
        if self.local:
            key = self.environment.get("TURNOUT_AI_KEY") or "none"  # a key for elsewhere is not shown to a local server
        client = AsyncOpenAI(base_url=self.url, api_key=key or "none", max_retries=0, timeout=self.timeout_s)
        return OpenAIChatModel(self.model, provider=OpenAIProvider(openai_client=client))

    def _inferred(self) -> ProviderModel:
        from pydantic_ai.exceptions import UserError
        from pydantic_ai.models import infer_model

        for name in (*KEYS, "OPENROUTER_API_KEY"):  # a key of the project's .env.local counts as one of the shell
            if value := self.environment.get(name):
                os.environ.setdefault(name, value)
        try:
            return infer_model(self.name)
        except UserError as exc:
            raise ConfigError(
                f"the model {self.name} cannot be used: {_short(exc)}",
                cure="set the provider's key, or name another model; turnout create --doctor shows what is there",
            ) from exc


class _Passing(ModelError):
    """A failure that the next try may not meet."""

    def __init__(self, what: str, wait_s: float | None = None) -> None:
        super().__init__(what)
        self.wait_s = wait_s


def _sent(messages: list[Message]) -> list[ModelMessage]:
    from pydantic_ai.messages import ModelRequest, SystemPromptPart, UserPromptPart

    kinds = {"system": SystemPromptPart, "user": UserPromptPart}
    return [ModelRequest(parts=[kinds[message.role](message.text) for message in messages])]


def _retry_after(headers: Mapping[str, str] | None) -> float | None:
    try:
        return max(0.0, float((headers or {})["retry-after"]))
    except (KeyError, ValueError):  # a date is rare enough to be treated as no word
        return None


def _short(exc: Exception) -> str:
    return " ".join(str(exc).split())[:300]


def _listed_price(provider: str, model: str) -> Price | None:
    try:
        from genai_prices import Usage, calc_price

        def dollars(**tokens: int) -> float:
            price: Decimal = calc_price(Usage(**tokens), model, provider_id=provider).total_price
            return float(price) / 1000

        return Price(dollars(input_tokens=1000, output_tokens=0), dollars(input_tokens=0, output_tokens=1000))
    except Exception:  # not in its list, or the list has moved: the price is not known
        return None
