"""Letters of unknown words: behind the ids of a text, as negative numbers, in one row.

good xy film -> 2, 1, 3, -1, -120, -121, -1
"""

from __future__ import annotations

from collections.abc import Sequence

BORDER_CODE = 1  # of a word, a control character that no word has


def spell(words: Sequence[str]) -> list[int]:
    """Return the codes of the letters of words, with a border before and behind each.

    "be", "we" -> [1, 98, 101, 1, 119, 101, 1]
    """
    if not words:
        return []
    border = chr(BORDER_CODE)
    return list(map(ord, f"{border}{border.join(words)}{border}"))


def join_row(ids: list[int], unknown: Sequence[str]) -> list[int]:
    """Return ids and behind them the letters of unknown words."""
    return [*ids, *[-code for code in spell(unknown)]] if unknown else ids


def split_row(row: Sequence[int]) -> tuple[Sequence[int], list[int]]:
    """Return the token ids and the codes of the letters of a row."""
    if not row or row[-1] >= 0:
        return row, []
    letters = [-code for code in row if code < 0]
    return row[: -len(letters)], letters
