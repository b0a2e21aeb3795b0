"""Windows of time over all processes: since when a model's texts have drifted, and in what."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from handler.inference.bundle import naming, read_regular
from handler.inference.checks import parse_json
from handler.inference.drift import Drift, find_drift
from handler.inference.manifest import MANIFEST, MAX_BYTES, Manifest, parse_manifest
from handler.inference.profile import Profile
from handler.inference.watch import SHOWN_DIGITS
from handler.repository.aliases import is_version
from handler.repository.store import Store, can_be_model
from minnow.drift.scrapes import Page
from minnow.drift.seen import Seen

Counts = Mapping[str, Sequence[int]]
LEAST = 1e-3  # share that an empty bin counts as
SHOWN_BINS = 3  # of a feature that has drifted, those that changed most


class Change(NamedTuple):
    """How a share of the texts has changed.

    Args:
        bin: What people call the bin.
        expected, found: Shares, 0 to 1.
    """

    bin: str
    expected: float
    found: float


@dataclass(frozen=True)
class Window:
    """Texts of one model for a while, of all processes.

    Args:
        since, until: In seconds since 1970.
        counts: Of each feature, texts by bin.
        drift: How far they are from the profile.
    """

    since: float
    until: float
    texts: int
    counts: Counts
    drift: Drift


@dataclass(frozen=True)
class Period:
    """A while in which every window has drifted.

    Args:
        is_over: A later window has not.
        drift: Of all its texts together.
    """

    since: float
    until: float
    texts: int
    counts: Counts
    drift: Drift
    is_over: bool


@dataclass(frozen=True)
class Finding:
    """What is known of one model.

    Args:
        profile: Of its bundle; None: it is not known, and nothing can be said.
        windows: In the order of time.
        periods: Of drift.
    """

    model: str
    version: str
    bundle: str
    texts: int
    profile: Profile | None
    windows: Sequence[Window]
    periods: Sequence[Period]

    @property
    def now(self) -> Period | None:
        """The drift that goes on."""
        return self.periods[-1] if self.periods and not self.periods[-1].is_over else None

    def find_changes(self, feature: str, counts: Counts) -> list[Change]:
        """Return the bins of a feature that hold any text, what changed most first."""
        if self.profile is None:
            return []
        expected, found = self.profile.counts[feature], counts[feature]
        totals = max(1, sum(expected)), max(1, sum(found))
        names = self.profile.bins[feature].describe()
        changes = [
            Change(name, before / totals[0], after / totals[1])
            for name, before, after in zip(names, expected, found, strict=True)
            if before or after
        ]
        return sorted(changes, key=_measure_change, reverse=True)

    def describe(self) -> dict[str, Any]:
        """Return what `minnow drift --json` tells."""
        return {
            "model": self.model,
            "version": self.version,
            "bundle": self.bundle,
            "texts": self.texts,
            "has_profile": self.profile is not None,
            "is_drifting": self.now is not None,
            "periods": [
                {
                    **_describe(one),
                    "is_over": one.is_over,
                    "changes": [
                        {"feature": feature, **change._asdict()}
                        for feature in one.drift.features
                        for change in self.find_changes(feature, one.counts)[:SHOWN_BINS]
                    ],
                }
                for one in self.periods
            ],
            "windows": [_describe(one) for one in self.windows],
        }


def read_bundles(folders: Iterable[Path]) -> dict[str, Manifest]:
    """Return the manifests of bundles by the first digits of their sha256; raises ArtefactError."""
    found = {}
    for folder in folders:
        content = read_regular(folder / MANIFEST, MAX_BYTES[MANIFEST])
        with naming(folder / MANIFEST):
            found[_shorten(content)] = parse_manifest(parse_json(content))
    return found


def read_repository(store: Store, seen: Iterable[Seen | Page]) -> dict[str, Manifest]:
    """Return the manifests of the models that were seen, as far as a repository has them."""
    found = {}
    for name, version in sorted({(one.model, one.version) for one in seen}):
        if not can_be_model(name) or not is_version(version):  # as a log may say anything
            continue
        if int(version) in store.list_versions(name):
            content = store.read_file(name, int(version), MANIFEST, MAX_BYTES[MANIFEST])
            with naming(store.locate(name, int(version)) / MANIFEST):
                found[_shorten(content)] = parse_manifest(parse_json(content))
    return found


def find_all(
    seen: Sequence[Seen], manifests: Mapping[str, Manifest], least_texts: int
) -> list[Finding]:
    """Return what is known of each model that was seen, those that drift first.

    Args:
        manifests: By the first digits of the bundles' sha256.
        least_texts: Of a window; lines of the logs are not cut.
    """
    of_models: dict[tuple[str, str, str], list[Seen]] = {}
    for one in seen:
        of_models.setdefault((one.model, one.version, one.bundle), []).append(one)
    findings = []
    for key, of_model in sorted(of_models.items()):
        manifest = manifests.get(key[2])
        profile = manifest.profile if manifest is not None else None
        texts = sum(one.texts for one in of_model)
        windows = [] if profile is None else _make_windows(of_model, profile, least_texts)
        periods = [] if profile is None else list(_find_periods(windows, profile))
        findings.append(Finding(*key, texts, profile, windows, periods))
    return sorted(findings, key=lambda one: (one.now is None, not one.periods))


def _make_windows(seen: Sequence[Seen], profile: Profile, least_texts: int) -> list[Window]:
    fitting = [one for one in seen if _fits(one, profile)]
    windows: list[Window] = []
    part: list[Seen] = []
    for one in sorted(fitting, key=lambda one: (one.until, one.since)):
        part.append(one)
        if sum(each.texts for each in part) >= least_texts:
            windows.append(_make_window(part, profile))
            part = []
    if part:
        windows.append(_make_window(part, profile))
    return windows


def _fits(one: Seen, profile: Profile) -> bool:
    return {name: len(counts) for name, counts in one.counts.items()} == {
        name: bins.size for name, bins in profile.bins.items()
    }


def _make_window(part: Sequence[Seen], profile: Profile) -> Window:
    counts = add_counts(one.counts for one in part)
    since, until = min(one.since for one in part), max(one.until for one in part)
    texts = sum(one.texts for one in part)
    return Window(since, until, texts, counts, find_drift(profile, counts))


def _find_periods(windows: Sequence[Window], profile: Profile) -> Iterator[Period]:
    """Yield the whiles of drift; a window of too few texts to tell does not end one."""
    part: list[Window] = []
    for window in windows:
        if window.drift.features:
            part.append(window)
        elif part and window.drift.is_told:
            yield _make_period(part, profile, is_over=True)
            part = []
    if part:
        yield _make_period(part, profile, is_over=False)


def _make_period(part: Sequence[Window], profile: Profile, is_over: bool) -> Period:
    counts = add_counts(one.counts for one in part)
    texts = sum(one.texts for one in part)
    drift = find_drift(profile, counts)
    return Period(part[0].since, part[-1].until, texts, counts, drift, is_over)


def add_counts(all_counts: Iterable[Counts]) -> dict[str, list[int]]:
    """Return the sums of counts by feature and bin."""
    total: dict[str, list[int]] = {}
    for counts in all_counts:
        for name, found in counts.items():
            before = total.get(name, [0] * len(found))
            total[name] = [a + b for a, b in zip(before, found, strict=True)]
    return total


def _measure_change(change: Change) -> float:
    """Return what a bin adds to the index, near enough."""
    before, after = change.expected + LEAST, change.found + LEAST
    return (after - before) * math.log(after / before)


def _shorten(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:SHOWN_DIGITS]


def _describe(one: Window | Period) -> dict[str, Any]:
    return {
        "since": one.since,
        "until": one.until,
        "texts": one.texts,
        "features": list(one.drift.features),
        "psi": {name: round(found.psi, 4) for name, found in one.drift.differences.items()},
        "luck": {name: found.luck for name, found in one.drift.differences.items()},
    }
