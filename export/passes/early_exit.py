"""Skipping what an early exit does not need (`training/blocks/early_exit.py`).

Keras computes `where(margin > threshold, early, full)` of all rows. `full` reads texts by segments:
rows of ids that a recurrent layer reads, and vectors that are multiplied by 0 where a segment is
padding and then stand by text. In the graph only segments of uncertain texts are gathered, read and
put back; in place of all others there are zeros.

A batch without any reads one step of one segment: ONNX Runtime 1.30 ends the process where a
recurrent layer gets no rows at all.
"""

from __future__ import annotations

import numpy as np

from export.graph import Graph, Pattern
from export.passes.naming import INPUT
from export.passes.recurrent import recurrent_nodes

GATE: Pattern = ("Greater", ("Add", ("MatMul", "margin", "kernel"), "bias"), 0.0)
EXIT: Pattern = ("Where", GATE, "early", "full")
IS_TEXT: Pattern = ("Cast", ("Greater", ("Slice", "ids", "start", "end", "axes"), 0))
BY_TEXT: Pattern = ("Reshape", ("Mul", "vectors", IS_TEXT), "shape")
ALL_STEPS = 2**20  # more than any segment has


def skip_certain_rows(graph: Graph) -> None:
    """Let recurrent layers read only the rows that do not exit early.

    A closed gate goes, with all that only it needs. A full model that does not read by segments
    still reads all.
    """
    for node in graph.nodes:
        found = graph.match(node.output[0], EXIT)
        if found is None:
            continue
        kernel, bias = graph.constant(found["kernel"]), graph.constant(found["bias"])
        if kernel is None or bias is None or kernel.size != 1:
            continue
        if kernel.item() <= 0:
            graph.redirect(node.output[0], found["full"])
            continue
        threshold = graph.add_constant(-bias / kernel.item(), "threshold")
        certain = graph.add_node("Greater", [found["margin"], threshold], "is_certain")
        node.input[0] = certain
        recurrent = {name for other in recurrent_nodes(graph) for name in other.output}
        if not _depends(graph, certain, recurrent) and not _depends(
            graph, found["early"], recurrent
        ):
            _skip_segments(graph, certain, found["full"])


def _skip_segments(graph: Graph, certain: str, full: str) -> None:
    types = graph.infer_types()
    for node in graph.nodes:
        found = graph.match(node.output[0], BY_TEXT)
        if found is None or not _depends(graph, full, {node.output[0]}):
            continue
        vectors, ids = found["vectors"], found["ids"]
        frames = graph.match(ids, ("Reshape", "frames", "shape"))
        _, shape = types.get(vectors, (0, [0]))
        if frames is not None and shape[-1] and not _depends(graph, vectors, {INPUT}, {ids}):
            _read_uncertain(
                graph, certain, frames["frames"], ids, vectors, node.output[0], shape[-1]
            )


def _read_uncertain(
    graph: Graph, certain: str, frames: str, ids: str, vectors: str, by_text: str, width: int
) -> None:
    """Gather the segments of uncertain texts before they are read, and put their vectors back.

    Args:
        certain: bool, (batch, 1).
        frames: Ids, (batch, segments, tokens).
        ids: The same, (all segments, tokens).
        vectors: (all segments, width).
        by_text: The vectors by text, (batch, segments, width).
    """

    def numbers(*values: int) -> str:
        return graph.add_constant(np.array(values, np.int64), "numbers", is_shared=True)

    first_ids = graph.add_node("Slice", [frames, numbers(0), numbers(1), numbers(2)], "first_ids")
    pad_id = graph.add_constant(np.array(0, np.int32), "pad_id")
    is_text = graph.add_node("Greater", [first_ids, pad_id], "is_text")
    uncertain = graph.add_node("Not", [certain], "is_uncertain")
    uncertain = graph.add_node("Unsqueeze", [uncertain, numbers(2)], "is_uncertain")
    is_read = graph.add_node("And", [is_text, uncertain], "is_read")
    is_read = graph.add_node("Reshape", [is_read, numbers(-1)], "is_read")
    flags = graph.add_node("Cast", [is_read], "read_flags", to=7)
    count = graph.add_node("ReduceSum", [flags, numbers(0)], "num_read", keepdims=1)

    # Of equal values TopK takes the first.
    num_rows = graph.add_node("Max", [count, numbers(1)], "num_rows")
    highest = graph.add_node("TopK", [flags, num_rows], "read_rows", num_outputs=2, axis=0)
    rows = graph.producer(highest).output[1]  # type: ignore[union-attr]
    chosen = graph.add_node("Gather", [ids, rows], "read_ids")
    for reader in graph.consumers(ids):
        if reader.output[0] != chosen:
            reader.input[list(reader.input).index(ids)] = chosen

    all_steps = graph.add_node("Mul", [count, numbers(ALL_STEPS)], "all_steps")
    num_steps = graph.add_node("Max", [all_steps, numbers(1)], "num_steps")
    recurrent = recurrent_nodes(graph)
    outputs = {name for node in recurrent for name in node.output}
    for node in recurrent:
        if _depends(graph, vectors, set(node.output)) and not _depends(
            graph, node.input[0], outputs
        ):
            inputs = [node.input[0], numbers(0), num_steps, numbers(0)]
            node.input[0] = graph.add_node("Slice", inputs, "steps")

    # Row 0 of those that are put back is zeros.
    nothing = graph.add_constant(np.zeros((1, width), np.float32), "nothing")
    read = graph.add_node("Concat", [nothing, vectors], "read_vectors", axis=0)
    counted = graph.add_node("CumSum", [flags, numbers(0)], "counted")
    places = graph.add_node("Mul", [counted, flags], "places")
    shape = graph.add_node("Shape", [frames], "num_segments", end=2)
    places = graph.add_node("Reshape", [places, shape], "places_by_text")
    graph.redirect(by_text, graph.add_node("Gather", [read, places], "by_text"))


def _depends(graph: Graph, name: str, sources: set[str], without: set[str] | None = None) -> bool:
    """Say whether `name` is computed of one of `sources`, by a way that avoids `without`."""
    pending, seen = [name], set(without or ())
    while pending:
        edge = pending.pop()
        if edge in seen:
            continue
        if edge in sources:
            return True
        seen.add(edge)
        node = graph.producer(edge)
        pending += node.input if node is not None else []
    return False
