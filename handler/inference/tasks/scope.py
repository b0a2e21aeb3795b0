"""The scope of a model: how far a text is from all that its accuracy was measured on.

Two numbers of a text tell it: the mean information of its words, in nats, and the logarithm of how
many it has. Words that the training rows use often carry little information, words that they never
use the most. The distance is Mahalanobis' (1936), squared, from the mean of the rows that the model
was not fitted to: an intent model's questions of a dozen everyday words are far from film reviews,
and the reviews far from them. The model itself is not asked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from handler.errors import ArtefactError
from handler.inference.checks import array, number, record, refuse, show

# One digit a word: whole nats, to 15, which is a word in three million. Rounding them moves no
# text: it is the same for the rows that told the threshold.
DIGITS = "0123456789abcdef"
MAX_NATS = len(DIGITS) - 1
_NATS_OF = bytes.maketrans(DIGITS.encode(), bytes(range(len(DIGITS))))


class Scope:
    """Which texts are like those that the model was measured on.

    Args:
        coverage: Share of such texts that are to be within it.
        information: A digit of `DIGITS` for each token id: how many nats the word tells.
        center: Mean of both numbers over those texts.
        precision: The inverse of their covariance: [of the first, of both, of the second].
        max_distance: The largest squared distance from the center that is in scope.
    """

    def __init__(
        self,
        coverage: float,
        information: str,
        center: Sequence[float],
        precision: Sequence[float],
        max_distance: float,
    ) -> None:
        self.coverage = coverage
        self.information = information
        self.center = tuple(center)
        self.precision = tuple(precision)
        self.max_distance = max_distance
        self._nats = list(information.encode().translate(_NATS_OF))

    def describe(self) -> dict[str, Any]:
        """Return the manifest's field `scope`."""
        return {
            "coverage": self.coverage,
            "information": self.information,
            "center": list(self.center),
            "precision": list(self.precision),
            "max_distance": self.max_distance,
        }

    def measure(self, ids: Sequence[int]) -> float:
        """Return the squared distance of a text with these token ids; infinite of an empty one."""
        if not ids:
            return math.inf
        length = len(ids)
        # A third of the time that a loop takes over 250 words.
        total = sum(itemgetter(*ids)(self._nats)) if length > 1 else self._nats[ids[0]]
        nats = total / length - self.center[0]
        size = math.log(length) - self.center[1]
        of_nats, of_both, of_size = self.precision
        return of_nats * nats * nats + 2 * of_both * nats * size + of_size * size * size


def read_scope(value: Any, field: str) -> Scope:
    """Return the scope that a manifest describes.

    Raises:
        ArtefactError: Numbers or digits that cannot be those of a scope.
    """
    fields: Mapping[str, Any] = record(
        {
            "coverage": read_share,
            "information": _read_digits,
            "center": array(number, 2, least=2),
            "precision": array(number, 3, least=3),
            "max_distance": number,
        }
    )(value, field)
    of_nats, of_both, of_size = fields["precision"]
    if of_nats <= 0 or of_size <= 0 or of_nats * of_size <= of_both * of_both:
        raise ArtefactError(f"{field}.precision is not that of any distance.")
    if fields["max_distance"] <= 0:
        refuse(f"{field}.max_distance", fields["max_distance"], "a number above 0")
    return Scope(**fields)


def read_share(value: Any, field: str) -> float:
    """Return a number between 0 and 1, neither of them."""
    share = number(value, field)
    if not 0 < share < 1:
        refuse(field, value, "a number between 0 and 1")
    return share


def _read_digits(value: Any, field: str) -> str:
    if not isinstance(value, str) or not value or value.strip(DIGITS):
        raise ArtefactError(f"{field} is {show(value)}, wanted a digit from 0 to f for each word.")
    if not value.isascii() or set(value) - set(DIGITS):
        raise ArtefactError(f"{field} holds other signs than the digits from 0 to f.")
    return value
