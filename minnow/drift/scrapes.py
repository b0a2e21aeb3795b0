"""What a server tells at `GET /metrics` of the texts that it saw: counts since its start."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from handler.inference.manifest import Manifest
from minnow.drift.seen import METRIC, Scraped, Seen

VALUE = r'"((?:[^"\\]|\\.)*)"'
LINE = re.compile(
    rf"{METRIC}\{{model={VALUE},version={VALUE},feature={VALUE},bin={VALUE}\}} (\d{{1,12}})\s*"
)
ESCAPES = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}


@dataclass(frozen=True)
class Page:
    """What one page says of one model.

    Args:
        model, version: As the server calls them.
        when: It was read, in seconds since 1970.
        counts: Texts since the server's start by (feature, bin).
    """

    model: str
    version: str
    when: float
    counts: Mapping[tuple[str, str], int]


def read_pages(scraped: Iterable[Scraped]) -> tuple[list[Page], int]:
    """Return what pages say of each model, and how many of their lines cannot be read."""
    pages: list[Page] = []
    unreadable = 0
    for one in scraped:
        found: dict[tuple[str, str], dict[tuple[str, str], int]] = {}
        for line in one.lines:
            match = LINE.fullmatch(line)
            if match is None:
                unreadable += 1
                continue
            model, version, feature, name = map(_unescape, match.groups()[:4])
            found.setdefault((model, version), {})[feature, name] = int(match[5])
        pages += [Page(*key, one.when, counts) for key, counts in found.items()]
    return pages, unreadable


def place_pages(pages: Sequence[Page], manifests: Mapping[str, Manifest]) -> list[Seen]:
    """Return what was seen between one page and the next one of a model, until the first one since
    nobody knows when.

    Args:
        manifests: By the first digits of the bundles' sha256; a page names model and version alone.
    """
    seen: list[Seen] = []
    for sha256, manifest in manifests.items():
        named = manifest.name, manifest.version
        own = sorted(
            (page for page in pages if (page.model, page.version) == named),
            key=lambda page: page.when,
        )
        before: Page | None = None
        for page in own:
            added = _subtract(page, before)
            counts = {
                feature: [added.counts.get((feature, name), 0) for name in bins.describe()]
                for feature, bins in (manifest.profile.bins if manifest.profile else {}).items()
            }
            texts = max((sum(one) for one in counts.values()), default=0)
            since = page.when if before is None else before.when
            if texts:
                seen.append(Seen(*named, sha256, since, page.when, texts, counts))
            before = page
    return seen


def _subtract(page: Page, before: Page | None) -> Page:
    """Return what came since the page before; all of it where the server has begun anew."""
    if before is None:
        return page
    added = {key: count - before.counts.get(key, 0) for key, count in page.counts.items()}
    is_same_run = before.counts.keys() <= added.keys() and min(added.values(), default=0) >= 0
    return replace(page, counts=added) if is_same_run else page


def _unescape(value: str) -> str:
    return re.sub(r'\\[n"\\]', lambda found: ESCAPES[found[0]], value)
