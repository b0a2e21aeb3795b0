"""What pruning could leave of a model: widths and words, and how large the bundle would be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from export.compress.prune import Indices, choose_most, prune_model
from export.layers import dense, kind_of
from export.layers.integers import FULL_RANGE
from export.layers.kind import Quantization
from export.layers.wiring import trace_channels
from export.tokenizer_file import keep_words, pack_tokenizer
from training.run_folder import Run

# Shares of the channels of every layer that may stay.
WIDTHS = (1.0, 0.75, 0.5, 0.375, 0.25, 0.1875, 0.125)
MULTIPLE = 4  # of channels in a layer: what vector instructions like, and 4 bits need it even
MIN_WORDS_SHARE = 0.03
# A plan that needs 4 bits stands behind one of 8 bits that cuts a little more: narrower layers are
# also quicker to run and to fine-tune.
FOUR_BITS_SCORE = 0.6


@dataclass(frozen=True)
class Importance:
    """What `measure_importance` found.

    Args:
        channels: Owner -> float64, shape (channels of the owner,).
        words: Shape (vocab_size,), float64; empty where words cannot be told apart.
    """

    channels: Mapping[str, NDArray[np.float64]]
    words: NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """One way to prune.

    Args:
        width: Share of the channels of every layer that stays.
        num_words: Token ids that stay; None: all.
        bits: Of the embedding tables that the plan was sized for.
        size_bytes: What the int8 bundle is expected to have, model and tokenizer.
    """

    width: float
    num_words: int | None
    bits: int
    size_bytes: int

    @property
    def name(self) -> str:
        words = "all" if self.num_words is None else self.num_words
        return f"width-{self.width:g}-words-{words}"


class Planner:
    """Sizes plans for one run, from its model, importances and the size of its int8 bundle."""

    def __init__(
        self,
        run: Run,
        model: keras.Model,
        importance: Importance,
        int8_bytes: int,
        count_rows: Callable[[int], dict[str, int]] | None = None,
    ) -> None:
        """`count_rows`: number of words -> rows of each table, where they are not as many."""
        self.run = run
        self.model = model
        self.importance = importance
        self.wiring = trace_channels(model)
        # Graph, biases that are stored twice, wide branches: all that the estimate does not see.
        estimate = estimate_bytes(model, 8, weight_tables=run.weight_tables)
        self._rest = int8_bytes - estimate - len(pack_tokenizer(run.tokenizer))
        self._pruned: dict[float, keras.Model] = {}
        self._count_rows = count_rows or (lambda num: dict.fromkeys(self.wiring.tables, num))

    def choose(self, plan: Plan) -> tuple[dict[str, Indices], Indices | None]:
        """Return what stays: owner -> numbers of its channels, and token ids (None: all).

        Both int64, shape (num that stay,), sorted.
        """
        keep = {
            owner: choose_most(self.importance.channels[owner], count)
            for owner, count in self._counts(plan.width).items()
        }
        if plan.num_words is None:
            return keep, None
        return keep, choose_most(self.importance.words, plan.num_words)

    def narrow(self, width: float) -> keras.Model:
        """Return the model with that share of the channels and all words, not trained any more."""
        if width not in self._pruned:
            keep, _ = self.choose(Plan(width, None, 8, 0))
            self._pruned[width] = prune_model(self.model, keep)
        return self._pruned[width]

    def make_plans(self, max_size_bytes: int) -> list[Plan]:
        """Return the plans that keep the size, those that cut least of any part first."""
        found = [self._fill(width, bits, max_size_bytes) for width in WIDTHS for bits in (8, 4)]
        plans = {plan.name: plan for plan in found if plan is not None}
        return sorted(plans.values(), key=self._score, reverse=True)

    def smallest_bytes(self) -> int:
        """Return the size below which there is no plan."""
        words = self._min_words if self._num_words else None
        return self._size(WIDTHS[-1], words, 4)

    @property
    def _num_words(self) -> int:
        return len(self.importance.words)

    @property
    def _min_words(self) -> int:
        return 2 + round(MIN_WORDS_SHARE * self._num_words)

    def _score(self, plan: Plan) -> float:
        share = 1.0 if plan.num_words is None else plan.num_words / self._num_words
        return min(plan.width, share) * (FOUR_BITS_SCORE if plan.bits == 4 else 1.0)

    def _fill(self, width: float, bits: int, max_size_bytes: int) -> Plan | None:
        """Return the plan of `width` with as many words as fit; None if even few do not."""
        if self._size(width, None, bits) <= max_size_bytes:
            size_bytes = self._size(width, None, bits)
            return Plan(width, None, bits, size_bytes) if width < 1 else None
        if not self._num_words:
            return None
        fits, too_many = self._min_words - 1, self._num_words
        while too_many - fits > 1 + self._num_words // 200:  # to half a percent of the words
            middle = (fits + too_many) // 2
            small = self._size(width, middle, bits) <= max_size_bytes
            fits, too_many = (middle, too_many) if small else (fits, middle)
        if fits < self._min_words:
            return None
        return Plan(width, fits, bits, self._size(width, fits, bits))

    def _counts(self, width: float) -> dict[str, int]:
        counts = {}
        for owner, own in self.wiring.owners.items():
            multiple = 1 if owner in self.wiring.single else MULTIPLE
            wanted = multiple * max(1, round(width * len(own) / multiple))
            if owner not in self.wiring.fixed:
                counts[owner] = min(len(own), wanted)
        return counts

    def _size(self, width: float, num_words: int | None, bits: int) -> int:
        model = self.narrow(width)
        tokenizer = self.run.tokenizer
        rows = {}
        if num_words is not None:
            tokenizer = keep_words(tokenizer, choose_most(self.importance.words, num_words))
            rows = self._count_rows(num_words)
        estimate = estimate_bytes(model, bits, rows, self.run.weight_tables)
        return estimate + len(pack_tokenizer(tokenizer)) + self._rest


def estimate_bytes(
    model: keras.Model,
    embedding_bits: int,
    rows: Mapping[str, int] | None = None,
    weight_tables: Sequence[str] = (),
) -> int:
    """Return about what the weights take in an int8 bundle.

    Args:
        embedding_bits: 4 or 8, of the word vectors.
        rows: Embedding layer -> rows of its table, where they are not the model's.
        weight_tables: Embedding layers whose tables hold weights, not vectors.
    """
    quantization = Quantization(FULL_RANGE, embedding_bits, weight_tables)
    total = 0.0
    for layer in model.layers:
        shapes = [tuple(weight.shape) for weight in layer.weights]
        # What is of no known kind becomes, like Dense, products with matrices and sums.
        kind = kind_of(layer) or dense
        num_rows = (rows or {}).get(layer.name)
        total += kind.estimate_bytes(layer.name, shapes, quantization, num_rows)
    return round(total)


def describe(plan: Plan, model: keras.Model) -> dict[str, Any]:
    """Return what the metadata of a pruned run says of how it came about."""
    return {
        "criterion": "first-order Taylor (Molchanov et al., CVPR 2019)",
        "recovery": "distillation from the unpruned model (Hinton et al., 2015)",
        "width": plan.width,
        "parameters_before": model.count_params(),
    }
