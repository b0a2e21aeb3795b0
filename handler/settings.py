"""What the environment may set, read once into a frozen dataclass."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from handler.event_settings import EventSettings, read_event_settings

DEFAULT_BUNDLE = Path(__file__).parent / "model"


@dataclass(frozen=True)
class Limits:
    """What one request may hold; checked in `handler/core.py` and nowhere else.

    Args:
        max_texts: Texts in one request.
        max_characters: Characters in one text. 20,000 is above the longest IMDB review (13,704).
        max_body_bytes: Body after base64 and gzip. Lambda's own limit is 6 MB for the whole
            event, of which base64 leaves 4.5 MB.
    """

    max_texts: int = 256
    max_characters: int = 20_000
    max_body_bytes: int = 4_500_000


@dataclass(frozen=True)
class Settings:
    """Everything configurable about a serving process."""

    bundle: Path = DEFAULT_BUNDLE
    threads: int = 1
    limits: Limits = field(default_factory=Limits)
    events: EventSettings = field(default_factory=EventSettings)


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings that `MINNOW_*` variables ask for.

    Raises:
        ValueError: A variable cannot be used; the text has its name, its value, what was wanted.
    """
    limits = Limits(
        max_texts=_positive(environment, "MINNOW_MAX_TEXTS", Limits.max_texts),
        max_characters=_positive(environment, "MINNOW_MAX_CHARACTERS", Limits.max_characters),
        max_body_bytes=_positive(environment, "MINNOW_MAX_BODY_BYTES", Limits.max_body_bytes),
    )
    return Settings(
        bundle=Path(environment.get("MINNOW_BUNDLE") or DEFAULT_BUNDLE),
        threads=_positive(environment, "MINNOW_THREADS", Settings.threads),
        limits=limits,
        events=read_event_settings(environment),
    )


def _positive(environment: Mapping[str, str], name: str, default: int) -> int:
    value = environment.get(name, "")
    if not value:
        return default
    if not (value.isascii() and value.isdigit()) or int(value) == 0:
        raise ValueError(f"{name} is {value!r}, wanted a whole number of 1 or more")
    return int(value)
