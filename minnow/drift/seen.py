"""What processes told of the texts and answers that they saw: lines of their logs, or pages of
`GET /metrics` that were kept."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handler.inference.manifest import MAX_NAME_CHARACTERS
from handler.inference.watch import MESSAGE
from minnow.log_lines import STDIN, find_object, read_lines

METRIC = "minnow_profile_texts_total"
MAX_TEXTS = 10**9
LATEST = 1e11  # the year 5138
# As our lines have it, and within a string of JSON, as `aws logs` prints it.
MARK, QUOTED_MARK = f'"{MESSAGE}"', f'"{MESSAGE}\\"'


@dataclass(frozen=True)
class Seen:
    """What one process saw of one model for a while.

    Args:
        model, version: As the process calls them.
        bundle: The first digits of the bundle's sha256.
        since, until: In seconds since 1970.
        texts: How many.
        counts: Of each feature, texts by bin.
    """

    model: str
    version: str
    bundle: str
    since: float
    until: float
    texts: int
    counts: Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Scraped:
    """Lines of a page of metrics that are about texts.

    Args:
        when: The page was read, in seconds since 1970: when its file was written.
    """

    when: float
    lines: Sequence[str]


@dataclass
class Found:
    """What logs hold.

    Args:
        seen: In the order of the logs.
        scraped: Of each page.
        unreadable: Lines that say that they are ours, and cannot be read.
    """

    seen: list[Seen]
    scraped: list[Scraped] = field(default_factory=list)
    unreadable: int = 0


def read_logs(paths: Sequence[str]) -> Found:
    """Return what all logs tell.

    Args:
        paths: Files, also with .gz; `-` is the standard input.

    Raises:
        CommandError: A file that is no log, or packed otherwise.
        OSError: One that cannot be read.
    """
    found = Found([])
    for path in paths:
        metrics: list[str] = []
        for line in read_lines(path):
            if line.startswith(METRIC):
                metrics.append(line)
            if MARK not in line and QUOTED_MARK not in line:
                continue
            try:
                fields = find_object(line)
                if fields is not None and fields.get("message") == MESSAGE:
                    found.seen.append(_read_seen(fields))
            except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError):
                found.unreadable += 1
        if metrics:
            when = time.time() if path == STDIN else Path(path).stat().st_mtime
            found.scraped.append(Scraped(when, metrics))
    return found


def _read_seen(fields: Mapping[str, Any]) -> Seen:
    counts = {str(name): _read_counts(one) for name, one in fields["histograms"].items()}
    seen = Seen(
        model=_read_name(fields["model"]),
        version=_read_name(fields["version"]),
        bundle=_read_name(fields["bundle"]),
        since=float(fields["since"]),
        until=float(fields["until"]),
        texts=int(fields["texts"]),
        counts=counts,
    )
    is_a_while = 0 <= seen.since <= seen.until <= LATEST and 0 < seen.texts <= MAX_TEXTS
    if not is_a_while or any(sum(one) != seen.texts for one in counts.values()):
        raise ValueError("numbers that do not fit each other")
    return seen


def _read_name(value: Any) -> str:
    """Return a name that may be shown: a log is not always written by whom it says."""
    if not isinstance(value, str) or not value.isprintable() or len(value) > MAX_NAME_CHARACTERS:
        raise ValueError("no name")
    return value


def _read_counts(value: Any) -> list[int]:
    if not isinstance(value, list) or not all(type(one) is int and one >= 0 for one in value):
        raise ValueError("no counts")
    return value
