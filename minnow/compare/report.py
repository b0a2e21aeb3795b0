"""A comparison for people, and as one JSON object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from minnow.compare.comparison import Comparison, Finding
from minnow.compare.logs import Evidence
from minnow.compare.statistics import Interval

SHOWN_LABELS = 5


def describe_comparison(
    model: str, live: str, candidate: str, evidence: Evidence, found: Comparison
) -> dict[str, Any]:
    """Return all of it as `json.dumps` takes it."""
    pairs = evidence.pairs
    agreement = found.agreement._asdict() if found.agreement is not None else None
    return {
        "model": model,
        "live": live,
        "candidate": candidate,
        "requests": {
            version: {
                "latencies": len(requests.latencies_ms),
                "labelled": requests.labels.num_lines,
                "texts": int(requests.labels.total),
            }
            for version, requests in evidence.requests.items()
        },
        "pairs": {
            "lines": pairs.texts.num_lines,
            "texts": int(pairs.texts.total),
            "dropped": pairs.dropped,
        },
        "agreement": agreement,
        "findings": [_describe(one) for one in found.findings],
        "too_few": found.too_few,
        "differs": found.find_differing(),
        "same": found.find_same(),
    }


def _describe(found: Finding) -> dict[str, Any]:
    described = {
        "question": found.question,
        "name": found.name,
        "unit": found.unit,
        "live": found.live,
        "candidate": found.candidate,
        "difference": found.difference.value,
        "low": found.difference.low,
        "high": found.difference.high,
        "differs": found.differs,
        "more": found.more,
    }
    return {name: value for name, value in described.items() if value is not None}


def write_report(
    model: str, live: str, candidate: str, evidence: Evidence, found: Comparison
) -> Iterator[str]:
    """Yield the lines of the report; the last one is the verdict."""
    pairs = evidence.pairs
    yield f"model {model}: version {candidate} beside version {live}"
    counts = [
        f"{requests.errors.num_lines:,} requests and {int(requests.labels.total):,} texts of "
        f"version {version}"
        for version, requests in evidence.requests.items()
    ]
    shadowed = f"{pairs.texts.num_lines:,} pairs of {int(pairs.texts.total):,} texts by a shadow"
    dropped = f" ({pairs.dropped:,} more were dropped)" if pairs.dropped else ""
    yield f"  {', '.join(counts)}, {shadowed}{dropped}"
    if warning := warn_of_times(evidence, live, candidate):
        yield f"  {warning}"
    if found.agreement is not None:
        yield f"answers     the same for {_percent(found.agreement)} of the texts"
    labels = [one for one in found.findings if (one.question, one.unit) == ("labels", "share")]
    others = [one for one in found.findings if one not in labels]
    yield from (f"{one.question:<11} {_tell(one)}" for one in labels[:SHOWN_LABELS])
    if len(labels) > SHOWN_LABELS:
        yield f"            and {len(labels) - SHOWN_LABELS} more, which --json has"
    yield from (f"{one.question:<11} {_tell(one)}" for one in others)
    for question, reason in found.too_few.items():
        yield f"{question:<11} too few to tell: {reason}"
    yield f"verdict     {tell_verdict(found)}"


def tell_verdict(found: Comparison) -> str:
    """Return in one line in what the versions differ."""
    differing, same, few = found.find_differing(), found.find_same(), list(found.too_few)
    parts = [f"they differ in {_join(differing)}"] if differing else []
    parts += [f"no difference was seen in {_join(same)}"] if same else []
    parts += [f"too few lines tell of {_join(few)}"] if few else []
    return "; ".join(parts)


def warn_of_times(evidence: Evidence, live: str, candidate: str) -> str:
    """Return a warning where the versions answered at different times; "" where they did not."""
    first, second = evidence.requests[live], evidence.requests[candidate]
    longest = max(first.last - first.first, second.last - second.first)
    common = min(first.last, second.last) - max(first.first, second.first)
    if not 0 < longest < float("inf") or common >= longest / 2:
        return ""
    return (
        "they answered at different times, by which requests can differ too: compare logs of the "
        "time in which both answered"
    )


def _tell(found: Finding) -> str:
    verdict = "differs" if found.differs else "no difference seen"
    if found.more:
        verdict += f"; about {found.more:,} more lines would tell it closely"
    if found.unit == "probability":
        chance = f"{found.difference.value:.2g}"
        return f"{found.name}: as different by chance with probability {chance}: {verdict}"
    values = ""
    if found.live is not None and found.candidate is not None:
        values = f"{_show(found, found.live)} → {_show(found, found.candidate)}, "
    name = found.name if found.name.isprintable() else repr(found.name)  # a label of the log
    return f"{name}: {values}{_show_difference(found)}: {verdict}"


def _show(found: Finding, value: float) -> str:
    return f"{value:.3g} ms" if found.unit == "ratio" else f"{100 * value:.2f} %"


def _show_difference(found: Finding) -> str:
    value, low, high = found.difference
    if found.unit == "ratio":
        changes = [100 * (one - 1) for one in (value, low, high)]
        return f"{changes[0]:+.1f} % ({changes[1]:+.1f} to {changes[2]:+.1f})"
    if found.unit == "share":
        points = [100 * one for one in (value, low, high)]
        return f"{points[0]:+.2f} points ({points[1]:+.2f} to {points[2]:+.2f})"
    return f"{value:+.4f} ({low:+.4f} to {high:+.4f})"


def _percent(share: Interval) -> str:
    value, low, high = (100 * one for one in share)
    return f"{value:.1f} % ({low:.1f} to {high:.1f})"


def _join(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
