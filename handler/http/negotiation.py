"""What a client takes (RFC 9110, 12.5): Accept and Accept-Encoding, with weights and ranges."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

MAX_CHARACTERS, MAX_ELEMENTS = 2000, 50  # of a browser's longest: 150 and 8
WEIGHT = re.compile(r"0?\.\d{1,3}|0\.?|1(\.0{0,3})?")


def parse_weights(header: str) -> list[tuple[str, float]]:
    """Return (value in lower case, weight) of each element, in the header's order.

    "text/csv;q=0, application/json; charset=utf-8" -> [("text/csv", 0), ("application/json", 1)]

    What stands after MAX_CHARACTERS or MAX_ELEMENTS is not read: no client has so much to say.
    Parameters other than `q` do not count; a weight that is none is 1.
    """
    weighted = []
    for element in header[:MAX_CHARACTERS].lower().split(",", MAX_ELEMENTS)[:MAX_ELEMENTS]:
        value, *parameters = (part.strip() for part in element.split(";"))
        weight = 1.0
        for parameter in parameters:
            name, _, given = parameter.partition("=")
            if name.strip() == "q" and WEIGHT.fullmatch(given.strip()):
                weight = float(given)
        if value:
            weighted.append((value, weight))
    return weighted


def choose_type(
    accept: str, offered: Sequence[str], other_names: Mapping[str, str] | None = None
) -> str:
    """Return the media type of `offered` that the client likes best; empty if it takes none.

    `other_names` are those that clients use for them.

    Of each type the most specific range says the weight: `text/csv` before `text/*` before `*/*`.
    Equal weights: the range that stands first in the header, then the type offered first.
    """
    names = other_names or {}
    ranges = [(names.get(value, value), weight) for value, weight in parse_weights(accept)]
    if not ranges:
        return offered[0]
    best, best_rank = "", (0.0, 0)
    for kind in offered:
        family = kind.partition("/")[0]
        for wanted in ((kind,), (f"{family}/*",), ("*/*", "*")):  # some clients write a bare *
            found = [(w, -i) for i, (value, w) in enumerate(ranges) if value in wanted]
            if found:
                rank = max(found)
                if rank[0] > 0 and (not best or rank > best_rank):
                    best, best_rank = kind, rank
                break
    return best


def accepts_gzip(accepted: str) -> bool:
    """Say whether an Accept-Encoding header takes gzip: neither `gzip;q=0` nor `*, gzip;q=0`."""
    weights = dict(parse_weights(accepted))
    for coding in ("gzip", "x-gzip", "*"):
        if coding in weights:
            return weights[coding] > 0
    return False
