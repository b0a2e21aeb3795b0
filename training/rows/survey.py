"""What was read, before anything is trained: counts, and warnings that matter.

No line holds a user's text; rows are named by number. What repeats is what the split keeps together
(`training/rows/overlaps.py`).
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from training.rows.data import Data
from training.rows.label_sets import LabelSet, describe_sets, names_of
from training.rows.labels import find_variants
from training.rows.numbers import are_whole, describe_numbers, have_commas, read_column
from training.rows.overlaps import Overlaps
from training.rows.readers import Dataset
from training.rows.shingles import Tokens, split_texts
from training.rows.soft_labels import describe_soft

FEW_ROWS = 10  # of a label: fewer leave one row or none to check
LARGE_MAJORITY = 0.9
FEW_DEV_ROWS = 50  # 95 % of an accuracy of 0.9 is then 0.79 to 0.96
MANY_LABELS = 1000
MOST_CELLS = 500_000_000  # of rows and tokens, a byte each
DECIDES = 0.97  # share of the rows that one token tells; no honest set comes near
SHOWN_LABELS = 10
SHOWN_ROWS = 5
CUT_SHARE = 0.01  # of texts that all have the greatest length, which is then a limit
SHORTEST_CUT = 50
LOOKED_AT = 200  # characters of a text that tell its script


@dataclass(frozen=True)
class Survey:
    """Lines for people: what was read, and what is likely to be wrong with it.

    Args:
        token: The one that decides everything, for the report alone; "" where there is none.
    """

    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    token: str = ""

    def format(self) -> str:
        """Return the lines, the warnings behind them."""
        return "\n".join([*self.lines, *(f"warning: {warning}" for warning in self.warnings)])


def survey_data(data: Data, num_dev: int, max_length: int, is_torn: bool = False) -> Survey:
    """Return what stands in the rows of a run.

    Args:
        num_dev: Development rows, from their own file or held out.
        max_length: Tokens of a text that the model will read.
        is_torn: The split could not keep together what repeats, but for equal texts.
    """
    lines, warnings = [], []
    for role, part in (("train", data.train), ("dev", data.dev), ("test", data.test)):
        if part is not None:
            lines.append(f"{role}: {part.path}, {part.found.describe()}")
            lines.append(f"{len(part):,} rows: {describe_scripts(part.texts)}")
    if data.added is not None:
        lines.append(data.added.format())
    tokens = split_texts(data.train.texts)
    lines += describe_texts(data.train, tokens, max_length)
    lines += describe_overlaps(data.train.overlaps, is_torn)
    token = ""
    if "labels" in data.objective.task.describe():
        if any(isinstance(label, LabelSet) for label in data.train.labels):
            found = warn_of_sets(data.train.labels, data.train.columns.separator)
            lines[2:2] = describe_sets(data.train.labels, SHOWN_LABELS)
        else:
            found, token = warn_of_labels(data.train.labels, tokens)
            lines.insert(2, describe_labels(data.train.labels))
            lines[3:3] = tell_of_numbers(data.train.labels, data.objective.task.kind)
        if soft := describe_soft(data.train.labels):
            lines.insert(3, soft)
        lines += describe_contradictions(data.train)
        warnings += found
    else:
        numbers = describe_numbers(read_column(data.train))
        lines.insert(2, f"{numbers}; learned as numbers, by --task single-label as labels")
    for role, part in (("dev", data.dev), ("test", data.test)):
        if part is not None and (same := len(set(part.texts) & set(data.train.texts))):
            warnings.append(f"{same:,} texts of {role} stand in the training rows too")
    if is_torn:
        warnings.append(
            "no development row would be left if all rows that repeat each other were kept on one "
            "side of the split: only equal texts, or groups of --group-column, are, and figures "
            "read too high. Better: development data with --dev FILE"
        )
    if num_dev < FEW_DEV_ROWS:
        warnings.append(f"{num_dev} development rows only: figures are rough, and so is the choice")
    return Survey(lines, warnings, token)


def describe_labels(labels: Sequence[str]) -> str:
    """Return one line: `2 labels: neg 12,500, pos 12,500`."""
    counts = Counter(labels).most_common()
    shown = ", ".join(f"{label} {count:,}" for label, count in counts[:SHOWN_LABELS])
    more = f", and {len(counts) - SHOWN_LABELS:,} more" if len(counts) > SHOWN_LABELS else ""
    return f"{len(counts):,} labels: {shown}{more}"


def tell_of_numbers(labels: Sequence[str], kind: str) -> list[str]:
    """Return a line where labels are numbers that are learned as labels without an order."""
    if kind != "single-label":
        return []
    if are_whole(labels):
        return [
            "the labels are whole numbers, learned as labels without an order: --task ordinal "
            "learns their order, --task regression a number"
        ]
    if have_commas(labels):
        return [
            "the labels are numbers with commas, learned as labels without an order: write "
            "1234.5, and --task regression learns numbers"
        ]
    return []


def describe_texts(dataset: Dataset, tokens: Tokens, max_length: int) -> list[str]:
    """Return a line for each kind of text that people should look at, with its first rows."""
    texts = dataset.texts
    empty = [row for row, text in enumerate(texts) if not text.strip()]
    first: dict[str, int] = {}
    same = [row for row, text in enumerate(texts) if first.setdefault(text, row) != row]
    near = dataset.overlaps.near_duplicates
    long = np.flatnonzero(tokens.counts > max_length).tolist()
    lengths = np.array([len(text) for text in texts])
    longest = int(lengths.max())
    at_limit = np.flatnonzero(lengths == longest).tolist()
    if longest < SHORTEST_CUT or len(at_limit) < max(5, CUT_SHARE * len(texts)):
        at_limit = []
    kinds = (
        (empty, "empty texts"),
        (same, "duplicates of an earlier text"),
        (near, "near-duplicates of an earlier text"),
        (long, f"texts of more than {max_length} tokens, of which the rest is not read"),
        (at_limit, f"texts of exactly {longest} characters, the longest: cut by what wrote them?"),
    )
    return [f"{len(rows):,} {kind} ({name_rows(rows)})" for rows, kind in kinds if rows]


def describe_overlaps(overlaps: Overlaps, is_torn: bool) -> list[str]:
    """Return a line about rows that a split keeps together, and one about those that it cannot."""
    lines = []
    if overlaps.num_grouped:
        kept = "" if is_torn else "; they are kept on one side of every split"
        lines.append(
            f"{overlaps.num_grouped:,} rows nearly repeat another row or are part of one{kept}"
        )
    if overlaps.num_cut:
        lines.append(
            f"{overlaps.num_cut:,} rows repeat each other in groups too large for one side of a "
            "split: development figures may read too high"
        )
    return lines


def describe_contradictions(dataset: Dataset) -> list[str]:
    """Return a line where equal texts, but for case and blanks, have different labels."""
    labels: dict[str, set[str]] = defaultdict(set)
    rows: dict[str, list[int]] = defaultdict(list)
    for row, (text, label) in enumerate(zip(dataset.texts, dataset.labels, strict=True)):
        key = " ".join(text.casefold().split())
        labels[key].add(label)
        rows[key].append(row)
    found = sorted(row for key, names in labels.items() if len(names) > 1 for row in rows[key])
    if not found:
        return []
    return [f"{len(found):,} contradictory rows: same text, other label ({name_rows(found)})"]


def describe_scripts(texts: Iterable[str]) -> str:
    """Return the scripts that texts are written in: `Latin 98 %, Cyrillic 2 %`."""
    counts = Counter(find_script(text) for text in texts)
    total = sum(counts.values())
    return ", ".join(f"{name} {count / total:.0%}" for name, count in counts.most_common(4))


def find_script(text: str) -> str:
    """Return the script of most letters: "Привет!" -> "Cyrillic"; "no letters" without any."""
    start = text[:LOOKED_AT]
    if start.isascii():
        return "Latin" if any(map(str.isalpha, start)) else "no letters"
    names = Counter(
        unicodedata.name(letter, "other").split(" ")[0] for letter in start if letter.isalpha()
    )
    if not names:
        return "no letters"
    name = names.most_common(1)[0][0]
    return {"CJK": "Chinese characters"}.get(name, name.capitalize())


def warn_of_sets(labels: Sequence[str], separator: str | None = None) -> list[str]:
    """Return warnings of rows with several labels; `separator` is what stands between them in a
    cell, where anything does."""
    each = [name for label in labels for name in names_of(label)]
    warnings = warn_of_counts(each)
    sizes = Counter(len(names_of(label)) for label in labels)
    if set(sizes) == {1}:
        doubt = "is the --label-separator right?" if separator else "name a --label-separator."
        warnings.append(
            "every row has one label: --task single-label is more accurate, if a text never has "
            f"two. Else, {doubt}"
        )
    return warnings


def warn_of_labels(labels: Sequence[str], tokens: Tokens) -> tuple[list[str], str]:
    """Return warnings, and the token that decides everything, "" where none does."""
    counts = Counter(labels)
    warnings = warn_of_counts(labels)
    label, count = counts.most_common(1)[0]
    if count > LARGE_MAJORITY * len(labels):
        warnings.append(
            f"{count / len(labels):.1%} of the rows have the label {label}: compare macro F1, "
            "accuracy alone says little"
        )
    token, share = find_deciding_token(tokens, labels)
    if token:
        warnings.append(
            f"one token tells the label of {share:.1%} of the rows: does the text hold its label? "
            "The report names it"
        )
    return warnings, token


def warn_of_counts(labels: Sequence[str]) -> list[str]:
    """Return warnings of how many labels there are, how often each, and in which forms."""
    counts = Counter(labels)
    warnings = []
    if len(counts) >= MANY_LABELS:
        warnings.append(f"{len(counts):,} labels: is this the right --label-column?")
    rare = [label for label, count in counts.items() if count < FEW_ROWS]
    if rare:
        names = ", ".join(f"{name} {counts[name]}" for name in rare[:SHOWN_ROWS])
        more = ", …" if len(rare) > SHOWN_ROWS else ""
        warnings.append(
            f"{len(rare):,} labels have fewer than {FEW_ROWS} rows ({names}{more}): add rows, or "
            "merge labels"
        )
    for variants in find_variants(labels)[:SHOWN_ROWS]:
        names = ", ".join(f"{name} {rows:,}" for name, rows in variants.items())
        warnings.append(f"labels that differ by form alone ({names}): --normalize-labels merges")
    return warnings


def find_deciding_token(tokens: Tokens, labels: Sequence[str]) -> tuple[str, float]:
    """Return the token whose presence tells the label, and of which share of the rows; ("", 0.0)
    where there is none, or where the most frequent label tells as much."""
    names = sorted(set(labels))
    columns = {label: column for column, label in enumerate(names)}
    label_ids = np.array([columns[label] for label in labels])
    totals = np.bincount(label_ids)
    majority = totals.max() / len(labels)
    # A token gains no more rows than it stands in.
    occurrences = np.bincount(tokens.numbers, minlength=len(tokens.vocabulary))
    frequent = np.flatnonzero(occurrences >= (1 - majority) / 2 * len(labels))
    if not len(frequent) or len(frequent) * len(labels) > MOST_CELLS:
        return "", 0.0
    places = np.full(len(tokens.vocabulary), -1)
    places[frequent] = np.arange(len(frequent))
    found = places[tokens.numbers]
    presence = np.zeros((len(labels), len(frequent)), np.bool_)
    presence[tokens.text_ids[found >= 0], found[found >= 0]] = True
    inside = np.stack([presence[label_ids == label].sum(axis=0) for label in range(len(names))])
    right = inside.max(axis=0) + (totals[:, None] - inside).max(axis=0)
    best = int(right.argmax())
    share = float(right[best] / len(labels))
    if share < DECIDES or share - majority < (1 - majority) / 2:
        return "", 0.0
    return list(tokens.vocabulary)[frequent[best]], share


def name_rows(rows: Sequence[int]) -> str:
    """Return the first row numbers, counted from 1: `rows 4, 9, 12, …`."""
    shown = ", ".join(f"{row + 1:,}" for row in rows[:SHOWN_ROWS])
    more = ", …" if len(rows) > SHOWN_ROWS else ""
    return f"row{'s' if len(rows) > 1 else ''} {shown}{more}"
