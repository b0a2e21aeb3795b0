"""What the environment may set, read once.

Named tuples: each frozen dataclass would take a millisecond of every start.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from handler.errors import SettingsError
from handler.event_settings import EventSettings, read_event_settings
from handler.inference.checks import is_sha256, show
from handler.inference.trust import ANY, Trust, read_public_key
from handler.repository.settings import RepositorySettings, read_repository_settings

SEGMENT = re.compile(r"[A-Za-z0-9._~-]+")  # of a path, what needs no escape
PROFILE_EVERY = 1000  # enough texts to tell drift, and 4 µs of a line's 2 ms for each
DEFAULT_BUNDLE = Path(__file__).parent / "model"


class Limits(NamedTuple):
    """What one request may hold.

    Args:
        max_texts: Texts in one request.
        max_characters: Characters in one text. 20,000 is above the longest IMDB review (13,704).
        max_body_bytes: Body after base64 and gzip. Lambda's own limit is 6 MB for the whole
            event, of which base64 leaves 4.5 MB.
        max_explained_tokens: Tokens that one request may have explained: each is a row of a batch,
            about a millisecond of two stacked LSTMs of 128 units.
    """

    max_texts: int = 256
    max_characters: int = 20_000
    max_body_bytes: int = 4_500_000
    max_explained_tokens: int = 512


# Of texts that come from the process itself, not from a client.
NO_LIMITS = Limits(max_texts=sys.maxsize, max_characters=sys.maxsize)


class HttpSettings(NamedTuple):
    """What the HTTP service may be told; `docs/http.md` has the table of variables.

    Args:
        api_keys: Name -> sha256 (hex) of a key, from `MINNOW_API_KEYS=name:hash,...`; none: open.
        cors_origins: Origins that a browser may call from; `*` is every one; none: no CORS.
        rate_limit: Requests a second for each key, in bursts of twice that; 0: no limit.
        max_concurrency: Requests that a server process reads at a time; the next one gets a 503.
        predict_route, health_route: Further paths of the Vertex operations (`AIP_*_ROUTE`).
        base_path: What stands before every path, as "/shop"; empty: nothing that the event of a
            custom domain does not tell.
    """

    api_keys: Mapping[str, str] = MappingProxyType({})
    cors_origins: tuple[str, ...] = ()
    rate_limit: int = 0
    max_concurrency: int = 256
    predict_route: str = ""
    health_route: str = ""
    base_path: str = ""


class Settings(NamedTuple):
    """Everything configurable about a serving process.

    Args:
        bundle: Of one bundle, or of several below it.
        trust: Which bundles may serve.
        threads: Of one run of a model.
        repository: Where models come from in place of `bundle`; None: there is no repository.
        profile_every: Texts of a model with a profile after which a line of the log says what they
            were like; 0: nothing is kept of them.
        otlp: A server sends metrics and spans by OpenTelemetry's protocol: "on", else "" or "off".
    """

    bundle: Path = DEFAULT_BUNDLE
    trust: Trust = ANY
    threads: int = 1
    limits: Limits = Limits()
    http: HttpSettings = HttpSettings()
    events: EventSettings = EventSettings()
    repository: RepositorySettings | None = None
    profile_every: int = PROFILE_EVERY
    otlp: str = ""


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings that `MINNOW_*` variables ask for.

    Raises:
        SettingsError: A variable cannot be used; the text has its name, its value, what was wanted.
    """
    limits = Limits(
        max_texts=_positive(environment, "MINNOW_MAX_TEXTS", Limits().max_texts),
        max_characters=_positive(environment, "MINNOW_MAX_CHARACTERS", Limits().max_characters),
        max_body_bytes=_positive(environment, "MINNOW_MAX_BODY_BYTES", Limits().max_body_bytes),
        max_explained_tokens=_positive(
            environment, "MINNOW_MAX_EXPLAINED_TOKENS", Limits().max_explained_tokens
        ),
    )
    return Settings(
        bundle=Path(environment.get("MINNOW_BUNDLE") or DEFAULT_BUNDLE),
        trust=read_trust(environment),
        threads=_positive(environment, "MINNOW_THREADS", Settings().threads),
        limits=limits,
        http=read_http_settings(environment),
        events=read_event_settings(environment),
        repository=read_repository_settings(environment),
        profile_every=_count(environment, "MINNOW_PROFILE_EVERY", PROFILE_EVERY),
        otlp=environment.get("MINNOW_OTLP", ""),
    )


def read_trust(environment: Mapping[str, str] = os.environ) -> Trust:
    """Return what `MINNOW_BUNDLE_SHA256`, `MINNOW_TRUSTED_KEYS` and `MINNOW_REQUIRE_SIGNATURE` say.

    Raises:
        SettingsError: One of them cannot be meant, or what checks signatures is not installed.
    """
    keys = tuple(read_public_key(key) for key in _entries(environment, "MINNOW_TRUSTED_KEYS"))
    required = environment.get("MINNOW_REQUIRE_SIGNATURE", "").lower()
    if required not in ("", "0", "1", "false", "true"):
        raise SettingsError(f"MINNOW_REQUIRE_SIGNATURE is {show(required)}, wanted true or false")
    is_required = required in ("1", "true")
    if is_required and not keys:
        raise SettingsError(
            "MINNOW_REQUIRE_SIGNATURE is true, and MINNOW_TRUSTED_KEYS names no key that may have "
            "signed; `minnow sign` prints it"
        )
    hashes = tuple(_read_sha256(entry) for entry in _entries(environment, "MINNOW_BUNDLE_SHA256"))
    return Trust(hashes, keys, is_required)


def read_http_settings(environment: Mapping[str, str]) -> HttpSettings:
    """Return what `MINNOW_*` and Vertex's `AIP_*` say of the HTTP service; raises SettingsError."""
    return HttpSettings(
        api_keys=dict(_read_key(entry) for entry in _entries(environment, "MINNOW_API_KEYS")),
        cors_origins=tuple(_entries(environment, "MINNOW_CORS_ORIGINS")),
        rate_limit=_count(environment, "MINNOW_RATE_LIMIT", 0),
        max_concurrency=_positive(
            environment, "MINNOW_MAX_CONCURRENCY", HttpSettings().max_concurrency
        ),
        predict_route=environment.get("AIP_PREDICT_ROUTE", ""),
        health_route=environment.get("AIP_HEALTH_ROUTE", ""),
        base_path=_read_base_path(environment.get("MINNOW_BASE_PATH", "")),
    )


def _read_base_path(value: str) -> str:
    """Return "/shop" of "shop", "/shop" or "/shop/"; "" of "" and "/"."""
    segments = value.strip("/").split("/")
    if segments != [""] and not all(SEGMENT.fullmatch(segment) for segment in segments):
        raise SettingsError(
            f"MINNOW_BASE_PATH is {value[:40]!r}, wanted the part of the address before the "
            'routes, such as "/shop" where https://example.org/shop/predict is asked'
        )
    return "".join(f"/{segment}" for segment in segments if segment)


def _entries(environment: Mapping[str, str], name: str) -> list[str]:
    return [entry.strip() for entry in environment.get(name, "").split(",") if entry.strip()]


def _read_sha256(entry: str) -> str:
    if not is_sha256(entry.lower()):
        raise SettingsError(
            f"MINNOW_BUNDLE_SHA256 is {entry[:64]!r}, wanted the sha256 of a bundle's "
            "manifest.json in hexadecimal, as `minnow inspect BUNDLE` shows it"
        )
    return entry.lower()


def _read_key(entry: str) -> tuple[str, str]:
    name, _, digest = entry.rpartition(":")
    if not is_sha256(digest):
        # The value is not repeated: it may be a key that was not hashed.
        raise SettingsError(
            "MINNOW_API_KEYS holds an entry that is not a sha256 in hexadecimal, or name:sha256; "
            "`minnow key` makes one"
        )
    return name or digest[:8], digest


def _count(environment: Mapping[str, str], name: str, default: int) -> int:
    """Return a whole number that may be 0."""
    return 0 if environment.get(name, "") == "0" else _positive(environment, name, default)


def _positive(environment: Mapping[str, str], name: str, default: int) -> int:
    value = environment.get(name, "")
    if not value:
        return default
    # A number of thousands of digits cannot be read, and none above 2**31 - 1 is meant.
    is_number = value.isascii() and value.isdigit() and len(value) <= 10
    if not is_number or not 0 < int(value) < 2**31:
        shown = value if len(value) <= 20 else f"{value[:20]}…"
        raise SettingsError(f"{name} is {shown!r}, wanted a whole number from 1 to {2**31 - 1}")
    return int(value)
