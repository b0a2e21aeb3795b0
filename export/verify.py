"""Proof that a bundle computes what Keras computed; a miss fails the export."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from export.errors import ExportError, ToleranceError
from export.layers import FUSED_KINDS
from handler.inference.classifier import Classifier
from handler.inference.graph import OPERATORS, name_operator
from training.run_folder import REFERENCE, Run


@dataclass(frozen=True)
class Tolerance:
    """How far a bundle may be from Keras on the reference rows.

    Args:
        max_gap: Largest difference of an output, as a share of the task's `output_scale`.
        max_changed: Share of rows that may get another answer, of those whose answer stands for
            every change within `max_gap`; a row on the fence may fall to either side.
    """

    max_gap: float
    max_changed: float


TOLERANCES = {
    # Keras and ONNX Runtime sum the gates in another order; the worst gap seen is 3e-6.
    "float32": Tolerance(max_gap=1e-4, max_changed=0.0),
    # 7-bit weights and 8-bit activations through some hundred steps. Seen: 0.01 to 0.04 for trained
    # models of two LSTM layers; a lost `sequence_lens` or scale gives 0.3 and more.
    "int8": Tolerance(max_gap=0.12, max_changed=0.02),
}


def check_nodes(model: onnx.ModelProto, num_layers: Mapping[str, int]) -> dict[str, int]:
    """Return how many nodes of each type the graph has.

    Args:
        num_layers: Fused kind -> how many layers the Keras model has, from
            `count_fused_layers`.

    Raises:
        ExportError: Not as many fused nodes as layers, or an operator that the handler does not
            run, such as a Loop; names the kinds that are not complete, or all where none is to
            blame.
    """
    census = Counter(node.op_type for node in model.graph.node)
    others = {
        operator
        for node in model.graph.node
        if (operator := name_operator(node.domain, node.op_type)) not in OPERATORS
    }
    found = {kind.NAME: sum(census[op_type] for op_type in kind.NODE_TYPES) for kind in FUSED_KINDS}
    wrong = [name for name in found if found[name] != num_layers[name]]
    if wrong or others:
        named = wrong or list(found)
        counts = ", ".join(f"{found[name]} fused {name} nodes" for name in named)
        refused = f"; no bundle may have {', '.join(sorted(others))}" if others else ""
        wanted = ", ".join(str(num_layers[name]) for name in named)
        raise ExportError(
            f"the graph has {counts}, wanted {wanted}{refused}. Use {' or '.join(named)} layers "
            "with their default activations."
        )
    return dict(sorted(census.items()))


def verify_outputs(classifier: Classifier, run: Run, tolerance: Tolerance) -> dict[str, float]:
    """Compare with Keras' reference outputs, each row alone and all rows in mixed batches.

    Returns:
        `max_gap` and `answers_changed` (share of rows), the worse of the two batch sizes.

    Raises:
        ToleranceError: Over `tolerance`; names the worst row and its difference.
    """
    rows, expected = run.reference()
    results = {
        "one row": np.vstack([classifier.run([row]) for row in rows]),
        "all rows": classifier.run_batch(rows),  # padding and all
    }
    max_gap = tolerance.max_gap * run.task.output_scale
    is_decided = run.task.margins(expected) > max_gap
    figures = {"max_gap": 0.0, "answers_changed": 0.0}
    for batch, found in results.items():
        gaps = np.abs(found - expected).max(axis=1)
        worst = int(gaps.argmax())
        is_changed = ~run.task.same_answers(found, expected)
        share = float((is_changed & is_decided).mean())
        if not gaps[worst] <= max_gap or share > tolerance.max_changed:
            raise ToleranceError(
                f"{run.folder / REFERENCE}: in a batch of {batch}, row {worst} "
                f"({len(rows[worst])} tokens) is off by {gaps[worst]:.4g} (at most "
                f"{max_gap:.4g} is allowed), and {share:.1%} of the answers changed (at most "
                f"{tolerance.max_changed:.1%}). No bundle was written. "
                "Try --embedding-bits 8; if that fails too, --precision float32."
            )
        figures["max_gap"] = max(figures["max_gap"], float(gaps[worst]))
        figures["answers_changed"] = max(figures["answers_changed"], float(is_changed.mean()))
    return figures
