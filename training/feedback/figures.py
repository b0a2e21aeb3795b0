"""How right a model was in production, of what feedback says, and how sure that is."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from training.feedback.joining import Answer, Joined, Pair
from training.figures.metrics import confidence_interval, divide, measure_counts, show_figure

SHOWN_LABELS = 20
SHIFTED = 0.1  # share by which an answer is rarer or more frequent among texts with feedback
SURE_SHARE = 0.95


def measure_feedback(joined: Joined) -> list[dict[str, Any]]:
    """Return the figures of each model and version, by name; of labels, of several labels and of
    numbers each their own, where models without a name, or that were trained anew, had both.

    Of labels: `accuracy` and its 95 % interval, of several labels an exact match, with `micro_f1`;
    of numbers `mae`. `results` are the texts that the model answered, 0 where no results are here.
    """
    by_model: defaultdict[tuple[str, str, str], list[Pair]] = defaultdict(list)
    for pair in joined.pairs:
        by_model[pair.model, pair.version, type(pair.said.label).__name__].append(pair)
    found = []
    for key in sorted(by_model):
        pairs = by_model[key]
        answered = [pair for pair in pairs if pair.answer is not None]
        figures: dict[str, Any] = {
            "model": key[0],
            "version": key[1],
            "feedback": len(pairs),
            "results": joined.results[key[:2]],
            "unanswered": len(pairs) - len(answered),
        }
        if answered:
            figures |= _measure_answers([(pair.said.label, pair.answer) for pair in answered])
            told = [pair.answer for pair in answered if pair.told is not None]
            if shift := find_shift(told, joined.answered[key[:2]]):
                figures["shift"] = shift
        found.append(figures)
    return found


def _measure_answers(pairs: Sequence[tuple[Answer, Answer]]) -> dict[str, Any]:
    """Return figures of (label, answer), all of one kind."""
    if isinstance(pairs[0][0], float):
        return _measure_numbers(cast(Sequence[tuple[float, float]], pairs))
    right = sum(label == answer for label, answer in pairs)
    figures: dict[str, Any] = {
        "rows": len(pairs),
        "right": right,
        "accuracy": right / len(pairs),
        "accuracy_interval": confidence_interval(right / len(pairs), len(pairs)),
    }
    sets = [(_as_set(label), _as_set(answer)) for label, answer in pairs]
    by_label = _measure_labels(sets)
    if isinstance(pairs[0][0], tuple):
        both = sum(len(label & answer) for label, answer in sets)
        total = sum(len(label) + len(answer) for label, answer in sets)
        figures["micro_f1"] = divide(2 * both, total)
    return {**figures, "labels": by_label}


def _measure_labels(sets: Sequence[tuple[frozenset[str], frozenset[str]]]) -> dict[str, Any]:
    right, rows, guesses = Counter[str](), Counter[str](), Counter[str]()
    for label, answer in sets:
        rows.update(label)
        guesses.update(answer)
        right.update(label & answer)
    names = sorted({*rows, *guesses}, key=lambda name: (-rows[name], name))
    counts = [np.array([part[name] for name in names], np.int64) for part in (right, rows, guesses)]
    found = measure_counts(counts[0], counts[1], counts[2], names)
    for name, figures in found.items():
        figures["predicted"] = guesses[name]
        for what, whole in (("recall", rows[name]), ("precision", guesses[name])):
            if whole:
                figures[f"{what}_interval"] = confidence_interval(right[name] / whole, whole)
    return found


def _measure_numbers(pairs: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Return the mean absolute error and its interval (Student's t), and the mean error."""
    errors = np.array([answer - label for label, answer in pairs])
    sizes = np.abs(errors)
    mae = float(sizes.mean())
    figures: dict[str, Any] = {"rows": len(pairs), "mae": mae, "mean_error": float(errors.mean())}
    if len(pairs) > 1:
        from scipy.stats import t  # takes a second, and only numbers need it

        quantile = float(t.ppf((1 + SURE_SHARE) / 2, len(pairs) - 1))
        margin = quantile * float(sizes.std(ddof=1)) / math.sqrt(len(pairs))
        figures["mae_interval"] = [max(0.0, mae - margin), mae + margin]
    return figures


def find_shift(told: Iterable[Answer], answered: Mapping[Answer, int]) -> dict[str, Any] | None:
    """Return the answer whose share among texts with feedback is furthest from that among all
    results, if that is far; None where it is not.

    Args:
        told: Answers to texts with feedback.
        answered: Answer -> texts, of all results; None is no answer.
    """
    of_all = {one: count for one, count in answered.items() if isinstance(one, str) and count}
    with_feedback = Counter(one for one in told if isinstance(one, str))
    if not of_all or not with_feedback:
        return None
    total, num = sum(of_all.values()), with_feedback.total()
    shifts = {label: (with_feedback[label] / num, count / total) for label, count in of_all.items()}
    label, (share, whole) = max(
        sorted(shifts.items()), key=lambda item: abs(item[1][0] - item[1][1])
    )
    # As far as chance alone seldom goes.
    chance = 2 * math.sqrt(whole * (1 - whole) / num)
    if abs(share - whole) < max(SHIFTED, chance):
        return None
    return {"answer": label, "share_with_feedback": share, "share": whole}


def format_figures(figures: Mapping[str, Any]) -> list[str]:
    """Return lines for people about one model and version."""
    lines = [f"{figures['model']}, version {figures['version']}"]
    if "accuracy" in figures:
        low, high = figures["accuracy_interval"]
        name = "exact match" if "micro_f1" in figures else "accuracy"
        lines.append(
            f"  {name}  {figures['accuracy']:.4f} (95 %: {low:.4f} to {high:.4f}), "
            f"{figures['right']:,} of {figures['rows']:,} right"
        )
    if "micro_f1" in figures:
        lines.append(f"  micro F1  {show_figure(figures['micro_f1'])}")
    if "mae" in figures:
        ends = figures.get("mae_interval")
        told = f" (95 %: {ends[0]:.4g} to {ends[1]:.4g})" if ends else ""
        lines.append(
            f"  mean absolute error  {figures['mae']:.4g}{told}, of {figures['rows']:,} texts; "
            f"mean error {figures['mean_error']:+.4g}"
        )
    if figures["unanswered"]:
        lines.append(f"  not answered by the model  {figures['unanswered']:,}")
    lines += _format_labels(figures.get("labels", {}))
    if figures["results"]:
        share = figures["feedback"] / figures["results"]
        lines.append(
            f"  feedback on {figures['feedback']:,} of {figures['results']:,} texts ({share:.1%})"
        )
    if shift := figures.get("shift"):
        lines.append(
            f"  warning: the answer {shift['answer']!r} is {shift['share_with_feedback']:.0%} of "
            f"those with feedback, {shift['share']:.0%} of all"
        )
    return lines


def _format_labels(labels: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = []
    width = max((len(name) for name in list(labels)[:SHOWN_LABELS]), default=0)
    for name, one in list(labels.items())[:SHOWN_LABELS]:
        told = [f"  {name:<{width}}  recall {show_figure(one['recall'])}"]
        told += [f" ({low:.2f} to {high:.2f})" for low, high in _ends(one, "recall")]
        told += [f", precision {show_figure(one['precision'])}"]
        told += [f" ({low:.2f} to {high:.2f})" for low, high in _ends(one, "precision")]
        texts = "text" if one["rows"] == 1 else "texts"
        lines.append("".join(told) + f", {one['rows']:,} {texts}")
    if len(labels) > SHOWN_LABELS:
        lines.append(f"  and {len(labels) - SHOWN_LABELS:,} labels more (--json)")
    return lines


def _ends(figures: Mapping[str, Any], name: str) -> list[list[float]]:
    return [figures[f"{name}_interval"]] if f"{name}_interval" in figures else []


def _as_set(label: Answer) -> frozenset[str]:
    return frozenset(label if isinstance(label, tuple) else [str(label)])
