"""Mails of which few are spam, and whose words overlap, so that probabilities are between."""

import csv
import random
from pathlib import Path

SPAM = "win free prize money click offer now cash bonus".split()
HAM = "meeting lunch report project tomorrow please review notes team plan call".split()


def write_mails(path: Path, num_rows: int, share: float = 0.15, seed: int = 0) -> Path:
    """Write a CSV of `text` and `label`, ham or spam."""
    chance = random.Random(seed)
    rows = [("text", "label")]
    for _ in range(num_rows):
        is_spam = chance.random() < share
        odds = 0.35 if is_spam else 0.06
        words = [chance.choice(SPAM if chance.random() < odds else HAM) for _ in range(12)]
        rows.append((" ".join(words), "spam" if is_spam else "ham"))
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path
