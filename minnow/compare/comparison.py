"""Whether two versions of a model differ, as the log tells: in labels, scores, latency and errors.

All intervals hold together 95 times in 100: the error is shared out among the questions that can be
asked, and of labels among the labels (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from minnow.compare.logs import Evidence, Pairs, Requests
from minnow.compare.statistics import (
    Interval,
    Tally,
    align_bins,
    compare_counts,
    divide_medians,
    find_median,
    find_median_ratio,
    find_quantile,
    subtract,
    subtract_paired,
)

ERROR = 0.05
MIN_LINES = 100  # of either version, or of the shadow: below it no interval is to be believed
# What an interval should reach to either side, before "no difference was seen" says much.
TARGET_SHARE = 0.01  # of labels and errors
TARGET_SCORE = 0.01  # of a probability; of numbers a tenth of how far they are apart on average
TARGET_RATIO = 0.05  # of a latency
LABELS, SCORES, LATENCY, ERRORS = "labels", "scores", "latency", "errors"
NUMBERS = ("regression", "ordinal")  # kinds of tasks whose scores are numbers
NO_LABELS = ("regression",)
OWN_SCALE = ("value",)  # histograms in standard deviations of either version's own training rows


@dataclass(frozen=True)
class Finding:
    """How two versions differ in one thing.

    Args:
        question: "labels", "scores", "latency", "errors", or "distribution".
        name: Of what, such as a label.
        unit: "share", "score", "ratio" or "probability", of the difference.
        difference: Of the candidate's from the other's; a ratio is the candidate's part of it.
        live, candidate: What either has; None: only the difference is known.
        differs: The interval does not hold what no difference would be.
        more: Lines that are missing before an interval of the wanted width; 0: none.
    """

    question: str
    name: str
    unit: str
    difference: Interval
    live: float | None
    candidate: float | None
    differs: bool
    more: int = 0


@dataclass(frozen=True)
class Comparison:
    """Everything that the log tells of two versions.

    Args:
        findings: By question.
        agreement: Share of the texts whose answer is the same; None: too few pairs.
        too_few: Question -> what is there, and what is wanted.
    """

    findings: list[Finding]
    agreement: Interval | None
    too_few: dict[str, str]

    def find_differing(self) -> list[str]:
        """Return the questions in which the versions differ."""
        return list(dict.fromkeys(one.question for one in self.findings if one.differs))

    def find_same(self) -> list[str]:
        """Return the questions in which no difference was seen."""
        asked = dict.fromkeys(one.question for one in self.findings)
        return [question for question in asked if question not in self.find_differing()]


Ask = Callable[[float], list[Finding]]  # the error that may be made -> what is found


def compare_versions(
    evidence: Evidence, live: str, candidate: str, error: float = ERROR
) -> Comparison:
    """Return how two versions differ.

    Args:
        live, candidate: The versions.
        error: Probability that any difference is told where there is none.
    """
    first, second = evidence.requests[live], evidence.requests[candidate]
    pairs = evidence.pairs
    has_pairs = pairs.texts.num_lines >= MIN_LINES
    asks: list[Ask] = []
    too_few: dict[str, str] = {}
    if has_pairs:
        if pairs.task not in NO_LABELS:
            asks.append(lambda part: ask_paired_labels(pairs, part))
        asks.append(lambda part: ask_scores(pairs, part))
    elif _is_enough(first.labels.num_lines, second.labels.num_lines):
        if first.labels.sums or second.labels.sums:  # else its answers are numbers
            asks.append(lambda part: ask_labels(first.labels, second.labels, part))
    else:
        too_few[LABELS] = _tell_few(
            "requests with texts", live, first.labels.num_lines, candidate, second.labels.num_lines
        )
    if not has_pairs:
        too_few[SCORES] = (
            f"{pairs.texts.num_lines} pairs of a shadow, wanted {MIN_LINES}: "
            f"{MIN_LINES - pairs.texts.num_lines} more requests"
        )
    asks += _ask_requests(first, second, live, candidate, pairs, too_few)
    asks += _ask_histograms(evidence, live, candidate)
    findings = [one for ask in asks for one in ask(error / len(asks))]
    agreement = pairs.texts.share("agreed", find_quantile(error)) if has_pairs else None
    if any(one.question == SCORES for one in findings):
        too_few.pop(SCORES, None)
    return Comparison(findings, agreement, too_few)


def _ask_requests(
    first: Requests,
    second: Requests,
    live: str,
    candidate: str,
    pairs: Pairs,
    too_few: dict[str, str],
) -> Iterator[Ask]:
    sizes = len(first.latencies_ms), len(second.latencies_ms)
    if _is_enough(*sizes):
        yield lambda part: [ask_latency(first, second, part)]
    if len(pairs.latency_ratios) >= MIN_LINES:
        yield lambda part: [ask_paired_latency(pairs, part)]
    elif not _is_enough(*sizes):
        too_few[LATENCY] = _tell_few("requests over HTTP", live, sizes[0], candidate, sizes[1])
    sizes = first.errors.num_lines, second.errors.num_lines
    if _is_enough(*sizes):
        yield lambda part: [ask_errors(first.errors, second.errors, part)]
    else:
        too_few[ERRORS] = _tell_few("requests over HTTP", live, sizes[0], candidate, sizes[1])


def _ask_histograms(evidence: Evidence, live: str, candidate: str) -> Iterator[Ask]:
    inflation = max(_inflate(requests.labels) for requests in evidence.requests.values())
    for name, by_version in sorted(evidence.histograms.items()):
        first, second = align_bins(*(by_version.get(version, {}) for version in (live, candidate)))
        if name not in OWN_SCALE and min(sum(first.values()), sum(second.values())) >= MIN_LINES:
            yield partial(ask_distribution, name, first, second, inflation)


def ask_paired_labels(pairs: Pairs, error: float) -> list[Finding]:
    """Return how the shares of the labels changed among the same texts."""
    texts = pairs.texts
    labels = sorted({name[1:] for name in texts.sums if name.startswith(("+", "-"))})
    z = find_quantile(error / max(1, len(labels)))
    found = []
    for label in labels:
        # One large request may bring all changes of a label, and few of all changes.
        size = min(texts.effective_size(name) for name in ("agreed", f"+{label}", f"-{label}"))
        scale = size / texts.total
        gained, lost = (scale * texts.sums.get(f"{sign}{label}", 0.0) for sign in "+-")
        change = subtract_paired(gained, lost, size, z)
        more = _count_more(change, TARGET_SHARE, texts.num_lines)
        found.append(_make(LABELS, label, "share", change, more=more))
    if not labels:
        change = subtract_paired(0, 0, texts.total, z)
        found.append(_make(LABELS, "every label", "share", change))
    return _sort(found)


def ask_labels(first: Tally, second: Tally, error: float) -> list[Finding]:
    """Return how the shares of the labels differ between the texts of either version."""
    labels = sorted(first.sums.keys() | second.sums.keys())
    z = find_quantile(error / len(labels))
    found = []
    for label in labels:
        # Where one of them has none of a label, the other one tells how alike texts are.
        inflation = max(first.inflation(label), second.inflation(label))
        shares = first.share(label, z, inflation), second.share(label, z, inflation)
        change = subtract(*shares)
        more = _count_more(change, TARGET_SHARE, second.num_lines)
        found.append(_make(LABELS, label, "share", change, shares[0].value, shares[1].value, more))
    return _sort(found)


def ask_scores(pairs: Pairs, error: float) -> list[Finding]:
    """Return by how much the scores, or the numbers, differ on the same texts."""
    shift = pairs.texts.mean("score_shift", find_quantile(error))
    target = TARGET_SCORE
    if pairs.task in NUMBERS:
        target = pairs.texts.ratio("score_difference") / 10
    more = _count_more(shift, target, pairs.texts.num_lines)
    return [_make(SCORES, "mean", "score", shift, more=more)]


def ask_latency(first: Requests, second: Requests, error: float) -> Finding:
    """Return how the medians of the requests' latencies differ."""
    ratio = divide_medians(first.latencies_ms, second.latencies_ms, find_quantile(error))
    median, other = (find_median(one.latencies_ms, 0).value for one in (first, second))
    more = _count_more(ratio, TARGET_RATIO, len(second.latencies_ms))
    return _make(LATENCY, "requests", "ratio", ratio, median, other, more)


def ask_paired_latency(pairs: Pairs, error: float) -> Finding:
    """Return how the latencies of the models alone differ, on the same texts."""
    ratio = find_median_ratio(pairs.latency_ratios, find_quantile(error))
    more = _count_more(ratio, TARGET_RATIO, len(pairs.latency_ratios))
    return _make(LATENCY, "model alone", "ratio", ratio, more=more)


def ask_errors(first: Tally, second: Tally, error: float) -> Finding:
    """Return how the shares of the requests that failed differ."""
    z = find_quantile(error)
    shares = first.share("error", z), second.share("error", z)
    change = subtract(*shares)
    more = _count_more(change, TARGET_SHARE, second.num_lines)
    return _make(ERRORS, "requests", "share", change, shares[0].value, shares[1].value, more)


def ask_distribution(
    name: str, first: dict[str, float], second: dict[str, float], inflation: float, error: float
) -> list[Finding]:
    """Return whether the texts of either version fall into the bins of a histogram alike."""
    bins = sorted(first.keys() | second.keys())
    row, other = ([counts.get(one, 0.0) for one in bins] for counts in (first, second))
    chance, _ = compare_counts(row, other, inflation)
    question = {"label": LABELS, "score": SCORES}.get(name, "distribution")
    found = Finding(
        question,
        f"distribution of {name}",
        "probability",
        Interval(chance, chance, chance),
        None,
        None,
        differs=chance < error,
    )
    return [found]


def _inflate(tally: Tally) -> float:
    """Return the largest inflation of any label."""
    if tally.num_lines < 2:
        return 1.0
    return max(map(tally.inflation, tally.sums), default=1.0)


def _make(
    question: str,
    name: str,
    unit: str,
    difference: Interval,
    live: float | None = None,
    candidate: float | None = None,
    more: int = 0,
) -> Finding:
    none = 1.0 if unit == "ratio" else 0.0
    differs = not difference.low <= none <= difference.high
    more = 0 if differs else more
    return Finding(question, name, unit, difference, live, candidate, differs, more)


def _count_more(interval: Interval, target: float, num_lines: int) -> int:
    """Return how many lines are missing until an interval reaches `target` to either side: its
    width falls with the root of their number."""
    half = (interval.high - interval.low) / 2
    if target <= 0 or half <= target:
        return 0
    return round(num_lines * ((half / target) ** 2 - 1))


def _sort(findings: list[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda one: (not one.differs, -abs(one.difference.value)))


def _is_enough(*sizes: int) -> bool:
    return min(sizes) >= MIN_LINES


def _tell_few(what: str, live: str, num_live: int, candidate: str, num_candidate: int) -> str:
    missing = [
        f"{MIN_LINES - number} more of version {version}"
        for version, number in ((live, num_live), (candidate, num_candidate))
        if number < MIN_LINES
    ]
    return (
        f"{num_live} {what} of version {live} and {num_candidate} of version {candidate}, wanted "
        f"{MIN_LINES} of either: {', '.join(missing)}"
    )
