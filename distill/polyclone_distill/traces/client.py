"""One request to a chat-completions endpoint. The only module of the project that opens a network connection.

The key comes from the environment, goes into one header and nowhere else; whatever a server sends back is freed
of it before it becomes a message. Redirects are not followed, answers are limited in time and size.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self

import httpx
from polyclone.errors import UsageError

from .errors import PassingError, RefusedError, StopRunError
from .values import Reply, Usage, estimate_tokens

log = logging.getLogger(__name__)
# Its own log names every address; the run's progress says enough.
logging.getLogger("httpx").setLevel(logging.WARNING)

_STOPPING = {
    401: "the key is not accepted",
    402: "the account has no balance",
    403: "the key has no access",
    404: "there is no such address or model",
    405: "the address takes no requests of this kind",
}
_PASSING = frozenset({408, 409, 425, 429})
_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where and what is asked."""

    base_url: str
    """Up to and without `/chat/completions`."""
    model: str
    temperature: float | None = 0.3
    max_tokens: int = 8192
    timeout_s: float = 60.0
    """For a whole request, from connecting to the last byte."""
    max_bytes: int = 8_000_000


class Client:
    """An asynchronous client of one endpoint. `key` may be empty for a server that wants none."""

    def __init__(self, endpoint: Endpoint, key: str = "", *, concurrency: int = 8) -> None:
        _check(endpoint, key)
        self._endpoint, self._key = endpoint, key
        limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        timeout = httpx.Timeout(endpoint.timeout_s)
        self._http = httpx.AsyncClient(headers=headers, timeout=timeout, limits=limits, follow_redirects=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def ask(self, messages: Sequence[Mapping[str, str]]) -> Reply:
        """One answer to `messages`. Effect: one request, never repeated here.

        `PassingError` for what may pass, `RefusedError` for this request alone, `StopRunError` for all.
        """
        body: dict[str, Any] = {"model": self._endpoint.model, "messages": list(messages), "stream": False}
        body["max_tokens"] = self._endpoint.max_tokens
        if self._endpoint.temperature is not None:
            body["temperature"] = self._endpoint.temperature
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._endpoint.timeout_s):
                status, headers, text = await self._post(body)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise PassingError(f"no answer within {self._endpoint.timeout_s:g} s", kind="timeout") from error
        except httpx.TransportError as error:
            raise PassingError(self._clean(f"{type(error).__name__}: {error}"), kind="connection") from error
        if status != 200:
            raise self._trouble(status, headers, text)
        return self._reply(text, messages, time.monotonic() - started)

    async def _post(self, body: Mapping[str, Any]) -> tuple[int, httpx.Headers, str]:
        url = f"{self._endpoint.base_url.rstrip('/')}/chat/completions"
        async with self._http.stream("POST", url, json=body) as response:
            received = bytearray()
            async for part in response.aiter_bytes():
                received += part
                if len(received) > self._endpoint.max_bytes:
                    raise RefusedError(f"the answer is larger than {self._endpoint.max_bytes:,} bytes.")
            return response.status_code, response.headers, received.decode("utf-8", "replace")

    def _trouble(self, status: int, headers: httpx.Headers, text: str) -> Exception:
        said = self._clean(_message(text))
        if status in _PASSING or status >= 500:
            kind = "429" if status == 429 else "5xx" if status >= 500 else str(status)
            after = retry_after(headers.get("retry-after"))
            return PassingError(f"status {status}: {said}", kind=kind, retry_after_s=after)
        if status in _STOPPING:
            return StopRunError(
                f"{self._endpoint.base_url} answers {status}: {_STOPPING[status]} ({said}). "
                "Check --base-url, --model and the variable that holds the key."
            )
        if 300 <= status < 400:
            return StopRunError(f"{self._endpoint.base_url} sends elsewhere ({status}); give its final address.")
        return RefusedError(f"status {status}: {said}")

    def _reply(self, text: str, messages: Sequence[Mapping[str, str]], elapsed_s: float) -> Reply:
        try:
            raw = json.loads(text)
            choice = raw["choices"][0]
            message = choice["message"]
            content = message.get("content") or ""
            reasoning = message.get("reasoning_content") or message.get("reasoning")
            if not isinstance(content, str) or not isinstance(reasoning, str | None):
                raise TypeError("content is no text")
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
            raise PassingError(f"not a chat completion: {self._clean(text[:_SHOWN])!r}", kind="body") from error
        sent = "".join(str(message["content"]) for message in messages)
        return Reply(
            content=content,
            reasoning=reasoning,
            finish=str(choice.get("finish_reason") or ""),
            usage=_usage(raw.get("usage"), sent, content + (reasoning or "")),
            model=str(raw.get("model") or ""),
            elapsed_s=elapsed_s,
        )

    def _clean(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text


def _check(endpoint: Endpoint, key: str) -> None:
    """`UsageError` for an address that is none, that carries a password, or that would send a key in the open."""
    try:
        url = httpx.URL(endpoint.base_url)
    except (httpx.InvalidURL, TypeError) as error:
        raise UsageError("--base-url is not an address; give one like https://api.deepseek.com/v1.") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise UsageError("--base-url must start with https:// or http:// and name a host.")
    if url.userinfo:
        raise UsageError("--base-url holds a password; put the key into the environment instead.")
    if key and url.scheme == "http" and not _local(url.host):
        raise UsageError(f"the key would go to {url.host} unencrypted; use https, or unset the key's variable.")
    if any(character in key for character in "\r\n"):
        raise UsageError("the key holds a line break; set its variable without one.")


def _local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def retry_after(value: str | None) -> float | None:
    """Seconds that a `Retry-After` header asks for, as a number or as a date; None if it says neither."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())


def _message(text: str) -> str:
    """What an error body says, in one short line."""
    try:
        raw = json.loads(text)
        error = raw.get("error", raw) if isinstance(raw, dict) else raw
        said = error.get("message", text) if isinstance(error, dict) else error
    except (ValueError, RecursionError):
        said = text
    return " ".join(str(said).split())[:_SHOWN] or "nothing"


def _usage(raw: object, sent: str, received: str) -> Usage:
    if isinstance(raw, dict):
        prompt, completion = raw.get("prompt_tokens"), raw.get("completion_tokens")
        if isinstance(prompt, int) and isinstance(completion, int) and min(prompt, completion) >= 0:
            return Usage(prompt=prompt, completion=completion)
    return Usage(prompt=estimate_tokens(sent), completion=estimate_tokens(received), estimated=True)
