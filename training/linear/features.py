"""The features of texts that the linear half weighs: words, phrases, runs of letters.

A matrix for each kind, a row a text. Words count once, phrases and runs of letters as often as they
stand there; the letters of a known word as often as the word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from training.blocks.letters import hash_runs
from training.blocks.ngrams import (
    TAIL_TOKENS,
    Occurrences,
    count_cells,
    count_features,
    find_phrases,
    find_words,
    number_frequent,
    select,
)
from training.blocks.table import find_places

MIN_TEXTS = 2  # a feature that one text has says nothing about the next
FEW_ROWS = 2_000  # of so few texts everything is kept
# More than this share of the texts must be longer than a tail, or their ends weigh nothing of their
# own: that doubles the table.
LONG_SHARE = 0.01
# Letters of words that many texts are made of would cost more than they tell.
MAX_LETTER_COUNTS = 12_000_000


@dataclass(frozen=True)
class Features:
    """Which text has what how often.

    Args:
        blocks: Kind -> float32, shape (texts, features): "words", "phrases", "letters", "vectors",
            and where texts are longer than `TAIL_TOKENS` (more than `LONG_SHARE` of them) "tail":
            words, then phrases, of their end.
        lengths: int64, shape (texts,), in tokens.
        hashes: Kind -> int64, shape (features,), of "phrases" and "letters".
        parts: Kind -> what each word has of it, float32, shape (vocabulary, features), of
            "letters" and "vectors": what they weigh can be folded into the words.
    """

    blocks: dict[str, sparse.csr_matrix]
    lengths: NDArray[np.int64]
    hashes: dict[str, NDArray[np.int64]]
    parts: dict[str, sparse.csr_matrix]


def find_features(
    token_ids: Sequence[Sequence[int]],
    unknown: Sequence[Sequence[str]],
    words: Sequence[str],
    with_letters: bool,
    vectors: NDArray[np.float32] | None = None,
) -> Features:
    """Return all features of the texts that may be worth a weight.

    Args:
        token_ids: Of each text, without padding.
        unknown: Of each text the words that have no id.
        words: The vocabulary, in the order of ids.
        vectors: Shape (vocabulary, dimensions); None: words are not told by vectors.
    """
    lengths = np.array([len(ids) for ids in token_ids], np.int64)
    min_texts = 1 if len(token_ids) < FEW_ROWS else MIN_TEXTS
    phrases, phrase_hashes = number_frequent(find_phrases(token_ids), min_texts)
    blocks, hashes = _count(token_ids, phrases, len(words), len(phrase_hashes), lengths)
    hashes["phrases"] = phrase_hashes
    parts: dict[str, sparse.csr_matrix] = {}
    if vectors is not None:
        parts["vectors"] = sparse.csr_matrix(vectors)
        blocks["vectors"] = sparse.csr_matrix(blocks["words"] @ parts["vectors"])
    if not with_letters:
        return Features(blocks, lengths, hashes, parts)
    runs, of_words = hash_runs(words)
    known = np.unique(runs[np.isin(of_words, blocks["words"].indices)])
    numbers = np.minimum(np.searchsorted(known, runs), len(known) - 1)
    is_known = known[numbers] == runs
    word_runs = count_cells(of_words[is_known], numbers[is_known], (len(words), len(known)))
    letters = blocks["words"] @ word_runs + _count_unknown(unknown, known)
    letters.sum_duplicates()
    frequent = np.flatnonzero(np.bincount(letters.indices, minlength=len(known)) >= min_texts)
    blocks["letters"] = sparse.csr_matrix(letters[:, frequent])
    hashes["letters"] = known[frequent]
    parts["letters"] = sparse.csr_matrix(word_runs[:, frequent])
    return Features(blocks, lengths, hashes, parts)


def estimate_letters(token_ids: Sequence[Sequence[int]], words: Sequence[str]) -> int:
    """Return about how many runs of letters the texts have, each counted where it stands."""
    sizes = np.array([len(word) for word in words])
    return int(sum(5 * sizes[list(set(ids))].sum() for ids in token_ids))


def keep_features(
    features: Features,
    token_ids: Sequence[Sequence[int]],
    unknown: Sequence[Sequence[str]],
    tables: dict[str, NDArray[np.uint8]],
) -> Features:
    """Return the features that tables of them keep; a column is then a place.

    Args:
        tables: Kind -> fingerprints, uint8, shape (places,).
    """
    num_words = features.blocks["words"].shape[1]
    found = find_phrases(token_ids)
    places, is_kept = find_places(found.feature_ids, tables["phrases"])
    phrases = select(found, is_kept, places)
    num_places = len(tables["phrases"])
    blocks, hashes = _count(token_ids, phrases, num_words, num_places, features.lengths)
    parts = dict(features.parts)
    if "vectors" in parts:
        blocks["vectors"] = features.blocks["vectors"]
    if "letters" not in parts:
        return Features(blocks, features.lengths, hashes, parts)
    table = tables["letters"]
    places, is_kept = find_places(features.hashes["letters"], table)
    rows = np.flatnonzero(is_kept)
    onto = count_cells(rows, places[is_kept], (len(is_kept), len(table)))
    blocks["letters"] = sparse.csr_matrix(features.blocks["letters"] @ onto)
    parts["letters"] = sparse.csr_matrix(parts["letters"] @ onto)
    return Features(blocks, features.lengths, hashes, parts)


def select_rows(features: Features, rows: NDArray[np.int64]) -> Features:
    """Return the features of some texts; int64, shape (texts that stay,)."""
    blocks = {kind: block[rows] for kind, block in features.blocks.items()}
    return Features(blocks, features.lengths[rows], features.hashes, features.parts)


def _count(
    token_ids: Sequence[Sequence[int]],
    phrases: Occurrences,
    num_words: int,
    num_phrases: int,
    lengths: NDArray[np.int64],
) -> tuple[dict[str, sparse.csr_matrix], dict[str, NDArray[np.int64]]]:
    num_texts, words = len(token_ids), find_words(token_ids)
    blocks = {
        "words": count_features(words, num_texts, num_words, is_once=True),
        "phrases": count_features(phrases, num_texts, num_phrases),
    }
    if len(lengths) and (lengths > TAIL_TOKENS).mean() > LONG_SHARE:
        ends = [select(part, part.in_tail, part.feature_ids) for part in (words, phrases)]
        tail = [
            count_features(ends[0], num_texts, num_words, is_once=True),
            count_features(ends[1], num_texts, num_phrases),
        ]
        blocks["tail"] = sparse.csr_matrix(sparse.hstack(tail))
    return blocks, {}


def _count_unknown(unknown: Sequence[Sequence[str]], known: NDArray[np.int64]) -> sparse.csr_matrix:
    """Return how often the unknown words of each text have the known runs of letters."""
    flat = [word for words in unknown for word in words]
    texts = np.repeat(np.arange(len(unknown)), [len(words) for words in unknown])
    runs, owners = hash_runs(flat)
    places = np.minimum(np.searchsorted(known, runs), max(0, len(known) - 1))
    is_known = known[places] == runs if len(known) else np.zeros(len(runs), np.bool_)
    return count_cells(texts[owners[is_known]], places[is_known], (len(unknown), len(known)))
