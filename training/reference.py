"""The reference batch of a run: rows by which every later stage is compared with Keras."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from handler.inference.tokenizer import Tokenizer
from training.fitting.batches import strip
from training.tokenizer import UNKNOWN_ID

REFERENCE_ROWS = 64


def reference_rows(rows: Sequence[Sequence[int]], tokenizer: Tokenizer) -> list[list[int]]:
    """Return rows that a conversion must get right: every length, and the ends.

    An empty text, one token, one unknown token, exactly `max_length` tokens, and development
    texts spread evenly over their sorted lengths.
    """
    rows = rows if tokenizer.reads_letters else list(map(strip, rows))
    max_length = tokenizer.max_length
    longest = list(strip(max(rows, key=len)))
    full = (longest or [UNKNOWN_ID]) * max_length
    edges: list[list[int]] = [
        [],
        longest[:1] or [UNKNOWN_ID],
        [UNKNOWN_ID],
        full[:max_length],
    ]
    by_length = sorted(rows, key=len)
    num_spread = REFERENCE_ROWS - len(edges)
    spread = np.linspace(0, len(by_length) - 1, num_spread).round().astype(int)
    return edges + [list(by_length[row]) for row in spread]
