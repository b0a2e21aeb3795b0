"""A synthetic data set for the demo: made-up reviews in which order and negation decide.

"the plot was not good" is negative, "not bad" positive, and of two clauses joined by "but" the
second one counts: a bag of words cannot learn it.
"""

from __future__ import annotations

import csv
import random
from pathlib import Path

from handler.files import replacing

SUBJECTS = ("the plot", "the acting", "the music", "this film", "the ending", "the camera work")
GOOD = ("good", "great", "moving", "clever", "funny", "superb")
BAD = ("bad", "dull", "weak", "clumsy", "boring", "awful")
VERBS = ("was", "felt", "seemed", "stayed")
FILLERS = ("", "", "honestly", "as i said", "for me", "all in all", "in the second half")


def write_synthetic_reviews(path: Path, num_rows: int, seed: int) -> None:
    """Write `num_rows` rows of `text,label` (pos or neg, about half each) as CSV to `path`."""
    order = random.Random(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["text", "label"])
        for _ in range(num_rows):
            writer.writerow(make_review(order))


def make_review(order: random.Random) -> tuple[str, str]:
    """Return one review and its label."""
    text, is_positive = _make_clause(order)
    if order.random() < 0.4:
        second, is_positive = _make_clause(order)
        text = f"{text} , but {second}"
    filler = order.choice(FILLERS)
    return f"{filler} {text} .".strip(), "pos" if is_positive else "neg"


def _make_clause(order: random.Random) -> tuple[str, bool]:
    is_good, is_negated = order.random() < 0.5, order.random() < 0.3
    word = order.choice(GOOD if is_good else BAD)
    negation = order.choice(("not ", "never ", "hardly ")) if is_negated else ""
    clause = f"{order.choice(SUBJECTS)} {order.choice(VERBS)} {negation}{word}"
    return clause, is_good != is_negated
