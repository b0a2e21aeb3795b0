"""The features of rows, found once for several plans."""

from __future__ import annotations

from training.fitting.encoded import Encoded
from training.linear.features import Features
from training.linear.plan import LEFT_OUT, find_planned
from training.linear.weights import Plan


class FeatureCache:
    """The features of some rows, found once for all plans of which each counts no more than the one
    before.

    They are large: keep this no longer than they are needed.
    """

    def __init__(self, rows: Encoded) -> None:
        self.rows = rows
        self._found: tuple[Plan, Features] | None = None

    def find(self, rows: Encoded, plan: Plan) -> Features:
        """Return what `find_planned` gives; of other rows it is not kept."""
        if rows is not self.rows:
            return find_planned(rows, plan)
        if self._found is not None and _counts_more(self._found[0], plan):
            features = keep_kinds(self._found[1], plan)  # what is left out takes memory too
        else:
            features = find_planned(rows, plan)
        self._found = plan, features
        return features


def _counts_more(plan: Plan, other: Plan) -> bool:
    """Say whether a plan counts all kinds that the other one does."""
    return all(getattr(plan, kind) or not getattr(other, kind) for kind in LEFT_OUT)


def keep_kinds(features: Features, plan: Plan) -> Features:
    """Return the features without the kinds that `find_planned` leaves out of the plan."""
    gone = {kind for kind in LEFT_OUT if not getattr(plan, kind)}
    blocks, hashes, parts = (
        {kind: value for kind, value in of_kinds.items() if kind not in gone}
        for of_kinds in (features.blocks, features.hashes, features.parts)
    )
    return Features(blocks, features.lengths, hashes, parts)
