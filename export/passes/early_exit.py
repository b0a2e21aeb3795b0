"""Skipping what an early exit does not need (`training/blocks/early_exit.py`).

Keras computes `where(margin > threshold, early, full)` of all rows. `full` reads texts by segments:
rows of ids that a recurrent layer reads, and a vector of each. Each text has the highest of its
own, 0 at least. In the graph only segments of uncertain texts are
gathered and read, and the highest are put in place of zeros.

A batch without any reads one step of one segment: ONNX Runtime 1.30 ends the process where a
recurrent layer gets no rows at all.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from export.graph import Graph, Pattern
from export.passes.naming import INPUT
from export.passes.recurrent import recurrent_nodes

GATE: Pattern = ("Greater", ("Add", ("MatMul", "margin", "kernel"), "bias"), 0.0)
EXIT: Pattern = ("Where", GATE, "early", "full")
BY_TEXT: Pattern = ("Reshape", "vectors", "shape")
HIGHEST: Pattern = ("Relu", ("ReduceMax", BY_TEXT, [1], {"keepdims": 0}))
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
        inputs = [found["margin"], threshold]
        uncertain = graph.add_node("LessOrEqual", inputs, "is_uncertain")
        inputs = [uncertain, found["full"], found["early"]]
        graph.redirect(node.output[0], graph.add_node("Where", inputs, "logits"))
        recurrent = {name for other in recurrent_nodes(graph) for name in other.output}
        if not any(_depends(graph, found[name], recurrent) for name in ("margin", "early")):
            _skip_segments(graph, uncertain, found["margin"], found["full"])


def _skip_segments(graph: Graph, uncertain: str, margin: str, full: str) -> None:
    types = graph.infer_types()
    for node in graph.nodes:
        found = graph.match(node.output[0], HIGHEST)
        if found is None or not _depends(graph, full, {node.output[0]}):
            continue
        vectors = found["vectors"]
        _, shape = types.get(vectors, (0, [0]))
        framed = _find_segments(graph, vectors)
        if framed is None or not shape or not shape[-1]:
            continue
        frames, ids = framed
        texts, is_read, count = _choose_segments(graph, uncertain, frames, ids)
        _limit_steps(graph, vectors, count)
        vectors = graph.add_node("Mul", [vectors, is_read], "read_vectors")
        # As many zeros as there are texts; a margin is a number.
        zeros = graph.add_constant(np.zeros((1, shape[-1]), np.float32), "zeros")
        zeros = graph.add_node("Mul", [margin, zeros], "nothing_read")
        inputs = [zeros, texts, vectors]
        highest = graph.add_node("ScatterND", inputs, "highest", reduction="max")
        graph.redirect(node.output[0], highest)


def _find_segments(graph: Graph, vectors: str) -> tuple[str, str] | None:
    """Return the ids by texts, (batch, segments, tokens), and by segments, (all segments, tokens),
    where `vectors` are computed of them alone; None where of anything else."""
    types = graph.infer_types()
    for node in graph.nodes:
        if node.op_type != "Reshape":
            continue
        frames, ids = node.input[0], node.output[0]
        shapes = [types.get(name, (0, []))[1] for name in (frames, ids)]
        is_framed = [len(shape) for shape in shapes] == [3, 2] and shapes[0][2] == shapes[1][1]
        is_source = is_framed and _depends(graph, frames, {INPUT})
        is_source = is_source and types[ids][0] == TensorProto.INT32
        if is_source and _depends(graph, vectors, {ids}):
            return None if _depends(graph, vectors, {INPUT}, {ids}) else (frames, ids)
    return None


def _choose_segments(graph: Graph, uncertain: str, frames: str, ids: str) -> tuple[str, str, str]:
    """Let what reads all segments read those of uncertain texts; one at least.

    Args:
        uncertain: bool, (batch, 1).
        frames: Ids, (batch, segments, tokens).
        ids: The same, (all segments, tokens).

    Returns:
        Of each segment read the number of its text and 1, or 0 of one that is read in place of
        none, both (segments read, 1); how many are to be read, (1,).
    """
    index = graph.add_constant(np.array(0, np.int64), "first")
    first_ids = graph.add_node("Gather", [frames, index], "first_ids", axis=2)
    pad_id = graph.add_constant(np.array(0, np.int32), "pad_id")
    is_text = graph.add_node("Greater", [first_ids, pad_id], "is_text")
    is_read = graph.add_node("And", [is_text, uncertain], "is_read")
    is_read = graph.add_node("Reshape", [is_read, _numbers(graph, -1, 1)], "is_read")
    flags = graph.add_node("Cast", [is_read], "read_flags", to=TensorProto.INT64)
    count = graph.add_node("ReduceSum", [flags, _numbers(graph, 0)], "num_read", keepdims=0)
    num_rows = graph.add_node("Max", [count, _numbers(graph, 1)], "num_rows")
    highest = graph.add_node("TopK", [flags, num_rows], "read_rows", num_outputs=2, axis=0)
    (rows,) = (node.output[1] for node in graph.nodes if highest in node.output)
    readers = graph.consumers(ids)
    chosen = graph.add_node("GatherND", [ids, rows], "read_ids")
    for reader in readers:
        reader.input[list(reader.input).index(ids)] = chosen
    per_text = graph.add_node("Shape", [frames], "segments_of_a_text", start=1, end=2)
    texts = graph.add_node("Div", [rows, per_text], "texts")
    is_read = graph.add_node("Cast", [highest], "is_read", to=TensorProto.FLOAT)
    return texts, is_read, count


def _limit_steps(graph: Graph, vectors: str, count: str) -> None:
    """Let the first recurrent layers behind `vectors` read one step where nothing is to be read."""
    all_steps = graph.add_node("Mul", [count, _numbers(graph, ALL_STEPS)], "all_steps")
    num_steps = graph.add_node("Max", [all_steps, _numbers(graph, 1)], "num_steps")
    nodes = recurrent_nodes(graph)
    written = {name for node in nodes for name in node.output}
    for node in nodes:
        is_behind = _depends(graph, vectors, set(node.output))
        if is_behind and not _depends(graph, node.input[0], written):
            zero = _numbers(graph, 0)
            inputs = [node.input[0], zero, num_steps, zero]
            node.input[0] = graph.add_node("Slice", inputs, "steps")


def _numbers(graph: Graph, *values: int) -> str:
    return graph.add_constant(np.array(values, np.int64), "numbers", is_shared=True)


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
