"""Who calls, and how often: API keys and a rate limit for each of them."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping

from handler.http.messages import Refusal


def find_caller(headers: Mapping[str, str], api_keys: Mapping[str, str]) -> str:
    """Return the name of the key in `Authorization: Bearer` or `X-Api-Key`.

    Args:
        api_keys: Name -> sha256 in hexadecimal. A key is random and long (`minnow key`), so a plain
            hash does: there is no dictionary to try, as there would be with passwords.

    Raises:
        Refusal: 401, no key or an unknown one.
    """
    scheme, _, token = headers.get("authorization", "").partition(" ")
    key = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    caller = ""
    for name, known in api_keys.items():  # all of them, so that the time tells nothing
        if hmac.compare_digest(digest, known):
            caller = name
    if not caller:
        raise Refusal(
            401,
            "send a known key, in the header authorization: Bearer KEY, or x-api-key: KEY",
            www_authenticate='Bearer realm="minnow"',
        )
    return caller


class RateLimit:
    """A token bucket for each caller: `rate` requests a second, in bursts of twice that."""

    def __init__(self, rate: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}  # caller -> (tokens, when)

    def check(self, caller: str) -> None:
        """Take one token; raise a 429 that says when the next one is there."""
        now = self._clock()
        tokens, then = self._buckets.get(caller, (2.0 * self._rate, now))
        tokens = min(2.0 * self._rate, tokens + (now - then) * self._rate)
        self._buckets[caller] = (tokens - 1 if tokens >= 1 else tokens, now)
        if tokens < 1:
            raise Refusal(429, f"the limit is {self._rate} requests a second", retry_after="1")
