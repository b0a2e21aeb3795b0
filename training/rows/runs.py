"""Runs of tokens that several texts have: which text is a part of another, or shares much with it.

Any run is compared by its hash, a difference of two sums (a polynomial modulo 2**64: Karp and Rabin
1987). Texts stand in the order of their lengths, the longest first, so that whoever holds a run
before a text is longer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.rows.shingles import Tokens

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Links = tuple[Ints, Ints]  # rows, and a row that each is linked to
# Tokens of a run that two texts hardly share by chance. Of 6, questions of one form are linked
# (TREC, Banking77); phrases cut from the same sentences need no shorter one.
RUN = 8
# Of a text's runs that stand in another: 0.3 and 0.7 keep phrases of a sentence no better together.
SHARE = 0.5
# Places of a text's rarest run that are compared with it: only forms have such a run more often.
MOST_ASKED = 32
BASE = 0x9E3779B97F4A7C15  # odd, so that its powers have inverses
TABLE_BITS = 24


class Runs:
    """The tokens of all texts in one row, longest text first, and the hash of any run of them.

    Attributes:
        rows: int64, shape (texts,): the row of each text.
        lengths: int64, shape (texts,): its tokens.
        starts: int64, shape (texts,): where it begins.
        texts: int64, shape (tokens of all texts,): the text of each token.
        rest: int64, shape (tokens of all texts,): tokens from here to the end of the text.
    """

    def __init__(self, tokens: Tokens) -> None:
        counts = tokens.counts
        self.rows = np.argsort(-counts, kind="stable")
        self.lengths = counts[self.rows]
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.texts = np.repeat(np.arange(len(counts)), self.lengths)
        places = np.arange(len(self.texts))
        self.rest = (self.starts + self.lengths)[self.texts] - places
        moved = (np.cumsum(counts) - counts)[self.rows] - self.starts
        numbers = tokens.numbers[places + moved[self.texts]]
        values = np.random.default_rng(0).integers(
            2**63, size=len(tokens.vocabulary), dtype=np.uint64
        )
        powers = _find_powers(BASE, len(numbers))
        self._sums = np.zeros(len(numbers) + 1, np.uint64)
        np.cumsum(values[numbers] * powers, out=self._sums[1:])  # wraps around at 2**64
        self._inverses = _find_powers(pow(BASE, -1, 2**64), len(numbers))

    def hash(self, starts: Ints, lengths: Ints | int) -> Hashes:
        """Return the hashes of runs, uint64, shape (starts,): equal for equal runs."""
        hashes: Hashes = self._sums[starts + lengths] - self._sums[starts]
        return hashes * self._inverses[starts]


def link_short_texts(runs: Runs) -> Links:
    """Return links of texts under `RUN` tokens, to an equal one and the shortest around it.

    That one is linked to a longer one again, so that all parts of a sentence reach it; the longest
    text of all would hold most of the words that are texts themselves.
    """
    links = [_link_length(runs, length) for length in range(1, RUN)]
    rows, others = (np.concatenate(ends) for ends in zip(*links, strict=True))
    return runs.rows[rows], runs.rows[others]


def _link_length(runs: Runs, length: int) -> Links:
    """Return links, in texts, of those with `length` tokens."""
    texts = np.flatnonzero(runs.lengths == length)
    if not len(texts):
        return texts, texts
    hashes = runs.hash(runs.starts[texts], length)
    wanted, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    # Texts of this length stand behind all longer ones.
    starts = np.flatnonzero(runs.rest[: runs.starts[texts[0]]] >= length)
    found = runs.hash(starts, length)
    places = np.searchsorted(wanted, found).clip(max=len(wanted) - 1)
    is_found = wanted[places] == found
    holders = texts[first]
    holders[places[is_found]] = runs.texts[starts[is_found]]  # the last one, the shortest, stays
    equal = texts[first][inverse]
    return np.concatenate([texts, texts[first]]), np.concatenate([equal, holders])


def link_long_texts(runs: Runs) -> Links:
    """Return links of texts from `RUN` tokens on: to one that has all of it or many of its runs."""
    starts, first = _find_shared_runs(runs)
    texts = runs.texts[starts]
    inside = _find_holders(runs, starts, first, texts)
    # Who has the run first is the longest text; counted are the runs that are first in the same.
    others = texts[first]
    apart = texts != others
    pairs = texts[apart] * len(runs.rows) + others[apart]
    pairs, counts = np.unique(pairs, return_counts=True)
    texts, others = np.divmod(pairs, len(runs.rows))
    is_alike = counts >= SHARE * (runs.lengths[texts] - RUN + 1)
    rows = np.concatenate([inside[0], texts[is_alike]])
    return runs.rows[rows], runs.rows[np.concatenate([inside[1], others[is_alike]])]


def list_holders(runs: Runs) -> Links:
    """Return links of texts from `RUN` tokens on to every longer one that has all of it inside."""
    starts, first = _find_shared_runs(runs)
    rows, others = _find_holders(runs, starts, first, runs.texts[starts], every=True)
    return runs.rows[rows], runs.rows[others]


def _find_shared_runs(runs: Runs) -> tuple[Ints, Ints]:
    """Return where runs of `RUN` tokens begin that stand in several places, and the index of the
    first place of each; equal runs lie side by side, in the order of the texts."""
    starts = np.flatnonzero(runs.rest >= RUN)
    hashes = runs.hash(starts, RUN)
    ordered = np.sort(hashes)
    # Most runs are in one place: a table of bits leaves them out before the slow sort.
    shift = np.uint64(64 - TABLE_BITS)
    table = np.zeros(2**TABLE_BITS, np.bool_)
    table[ordered[1:][ordered[1:] == ordered[:-1]] >> shift] = True
    kept = table[hashes >> shift]
    starts, hashes = starts[kept], hashes[kept]
    order = np.argsort(hashes, kind="stable")
    starts, hashes = starts[order], hashes[order]
    indices = np.arange(len(hashes))
    is_first = np.append(True, hashes[1:] != hashes[:-1])[: len(hashes)]
    return starts, np.maximum.accumulate(np.where(is_first, indices, 0))


def _find_holders(runs: Runs, starts: Ints, first: Ints, texts: Ints, every: bool = False) -> Links:
    """Return links, in texts, to the shortest longer one that has all of a text inside; or to every
    one."""
    frequency = np.bincount(first, minlength=len(first))[first]
    order = np.lexsort((frequency, texts))
    _, rarest = np.unique(texts[order], return_index=True)
    asking = order[rarest]  # of each text the run that fewest have
    links = []
    for back in range(1, MOST_ASKED + 1):
        asking = asking[asking - back >= first[asking]]
        text, other = texts[asking], texts[asking - back]
        begin = starts[asking - back] - starts[asking] + runs.starts[text]
        end = begin + runs.lengths[text]
        fits = (begin >= runs.starts[other]) & (end <= runs.starts[other] + runs.lengths[other])
        fits &= text != other
        own = runs.hash(runs.starts[text[fits]], runs.lengths[text[fits]])
        fits[fits] = runs.hash(begin[fits], runs.lengths[text[fits]]) == own
        links.append((text[fits], other[fits]))
        asking = asking if every else asking[~fits]
    rows, others = (np.concatenate(ends) for ends in zip(*links, strict=True))
    return rows, others


def _find_powers(base: int, count: int) -> Hashes:
    """Return base**0, base**1, … modulo 2**64."""
    powers = np.full(count, base, np.uint64)
    powers[:1] = 1
    return np.multiply.accumulate(powers)
