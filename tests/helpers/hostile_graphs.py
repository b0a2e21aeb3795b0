"""Graphs that must not be run: operators that are not known, weights elsewhere, bombs, and graphs
that compute something else than an answer of their task."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.helpers.hostile import MANIFEST, MODEL, Hostile, replacing
from tests.helpers.onnx_bytes import (
    DOUBLE,
    FLOAT,
    INT32,
    INT64,
    NODES,
    OUTPUTS,
    STRING,
    graph,
    integer,
    message,
    model,
    node,
    number,
    tensor,
    value,
)

# Operators that no bundle needs: graphs inside, chance, state, texts, sizes out of numbers.
REFUSED = (
    *("If", "Loop", "Scan", "SequenceMap", "SequenceEmpty", "SequenceAt", "SplitToSequence"),
    *("RandomNormal", "RandomUniform", "RandomNormalLike", "Multinomial", "Bernoulli", "Dropout"),
    *("ConstantOfShape", "Expand", "Range", "Tile", "Resize", "Upsample", "OneHot", "EyeLike"),
    *("Optional", "OptionalGetElement", "StringNormalizer", "StringSplit", "TfIdfVectorizer"),
    *("ImageDecoder", "NonZero", "Unique", "Einsum", "Scatter", "ScatterND", "DFT", "add", ""),
    "Add\n",
)
FOREIGN = (
    *(
        ("com.microsoft", name)
        for name in ("Tokenizer", "BeamSearch", "GreedySearch", "Add", "EPContext")
    ),
    *(("com.microsoft", name) for name in ("CDist", "GatherBlockQuantized", "WordConvEmbedding")),
    *(("ai.onnx.ml", name) for name in ("LabelEncoder", "CategoryMapper", "TreeEnsemble")),
    *(
        ("ai.onnx.training", "Adam"),
        ("org.pytorch.aten", "ATen"),
        ("evil", "Add"),
        ("ai.onnx.contrib", "PyOp"),
    ),
    *(("", "com.microsoft.Evil"), ("com.microsoft.", "FusedGemm"), ("\x1b[2J", "Add")),
)
ALONE = NODES[:-1]  # without the softmax


def list_graphs() -> Iterator[Hostile]:
    for name, make in _find_models().items():
        yield Hostile(f"graph: {name}", replacing(MODEL, make), MODEL)
    for name, make in _find_wrong_answers().items():
        yield Hostile(f"graph: {name}", replacing(MODEL, make), "")
    for name, make in _find_bombs().items():
        yield Hostile(f"graph: {name}", replacing(MODEL, make), MANIFEST, is_slow=True)


def _find_models() -> dict[str, Callable[[], bytes]]:
    """Return what must be refused before it is run."""
    cases: dict[str, Callable[[], bytes]] = {}
    for op_type in REFUSED:
        extra = node(op_type, "sums", "unused")
        cases[f"operator {op_type!r}"] = lambda extra=extra: model(graph(extra))
    for domain, op_type in FOREIGN:
        extra = node(op_type, "sums", "unused", domain=domain)
        cases[f"operator {domain!r} {op_type}"] = lambda extra=extra: model(graph(extra))
    for name, part in _list_parts().items():
        cases[name] = lambda part=part: model(graph(part))
    for name, content in _list_tensors().items():
        cases[f"tensor {name}"] = lambda content=content: model(graph(message(5, content)))
        constant = node(
            "Constant", "", "unused", message(5, message(1, "value"), message(5, content))
        )
        cases[f"constant {name}"] = lambda constant=constant: model(graph(constant))
    cases |= {
        "no graph": lambda: number(1, 10) + message(8, number(2, 18)),
        "two graphs": lambda: model(graph(), message(7, graph())),
        "an empty graph": lambda: model(b""),
        "a function": lambda: model(graph(), message(25, message(1, "Softmax"), message(10, ""))),
        "training": lambda: model(graph(), message(20, message(1, graph()))),
        "metadata": lambda: model(graph(), message(14, message(1, "a"), message(2, "b"))),
        "an unknown field": lambda: model(graph(), message(99, "x")),
        "a group": lambda: model(graph(), b"\x1b\x1c"),
        "a number of eleven bytes": lambda: model(graph(), b"\x28" + b"\xff" * 10 + b"\x01"),
        "an IR of tomorrow": lambda: model(graph()) + number(1, 10_000),
        "an opset of tomorrow": lambda: model(graph(), opset=10_000),
        "300,000 fields": lambda: model(graph(), number(5, 1) * 300_000),
        "300,000 nodes": lambda: model(graph(message(1) * 300_000)),
        "a length past the end": lambda: model(graph())[:-1] + b"\xff\xff\xff\xff\x07",
        "a name that is not UTF-8": lambda: model(graph(message(1, message(4, b"\xff\xfe")))),
        "no input": lambda: model(graph(token_ids=b"")),
        "no output": lambda: model(graph(outputs=b"")),
        "a second input": lambda: model(graph(value(11, "more", FLOAT, ("batch",)))),
        "a second output": lambda: model(graph(value(12, "sums", FLOAT, ("batch", 2)))),
        "a circle": lambda: model(graph(node("Add", "a b", "b"), node("Add", "b a", "a"))),
        "a node without its input": lambda: model(graph(node("Add", "nowhere sums", "unused"))),
        "an output of no node": lambda: model(graph(nodes=ALONE)),
        "an input of a sequence": lambda: model(
            graph(
                token_ids=message(11, message(1, "token_ids"), message(2, message(4, message(1))))
            )
        ),
    }
    for name, (kind, dims) in {
        "float": (FLOAT, ("batch", "length")),
        "int64": (INT64, ("batch", "length")),
        "string": (STRING, ("batch", "length")),
        "one dimension": (INT32, ("length",)),
        "three dimensions": (INT32, ("batch", "length", 1)),
        "a batch of one": (INT32, (1, "length")),
        "a batch of two": (INT32, (2, "length")),
        "a fixed length": (INT32, ("batch", 8)),
        "huge": (INT32, (1 << 40, 1 << 40)),
    }.items():
        cases[f"input of {name}"] = lambda k=kind, d=dims: model(
            graph(token_ids=value(11, "token_ids", k, d))
        )
    for name, (kind, dims) in {
        "int32": (INT32, ("batch", 2)),
        "double": (DOUBLE, ("batch", 2)),
        "three columns": (FLOAT, ("batch", 3)),
        "one column": (FLOAT, ("batch", 1)),
        "one dimension": (FLOAT, ("batch",)),
        "one row": (FLOAT, (1, 2)),
    }.items():
        cases[f"output of {name}"] = lambda k=kind, d=dims: model(
            graph(outputs=value(12, "outputs", k, d))
        )
    cases["input of another name"] = lambda: model(
        graph(
            nodes=(NODES[0], node("Gather", "logits ids", "rows"), *NODES[2:]),
            token_ids=value(11, "ids", INT32, ("batch", "length")),
        )
    )
    cases["output of another name"] = lambda: model(
        graph(
            nodes=(*ALONE, node("Softmax", "sums", "scores", integer("axis", -1))),
            outputs=value(12, "scores", FLOAT, ("batch", 2)),
        )
    )
    return cases


def _list_parts() -> dict[str, bytes]:
    """Return parts of a graph that must not be there."""
    endless = message(
        6,
        node("Identity", "go", "go_on"),
        node("Identity", "seen", "kept"),
        message(2, "body"),
        value(11, "turn", INT64, ()),
        value(11, "go", 9, ()),
        value(11, "seen", FLOAT, ("batch", 2)),
        value(12, "go_on", 9, ()),
        value(12, "kept", FLOAT, ("batch", 2)),
    )
    inner = message(5, message(1, "body"), endless, number(20, 5))
    return {
        "an endless loop": message(5, tensor("yes", (), (1,), kind=9))
        + node("Loop", "'' yes sums".replace("''", "turns"), "unused", inner),
        "a graph inside of a known operator": node("Add", "sums sums", "unused", inner),
        "graphs inside": node(
            "Add", "sums sums", "unused", message(5, message(1, "a"), message(11))
        ),
        "a sparse attribute": node(
            "Add", "sums sums", "u", message(5, message(1, "a"), message(22))
        ),
        "a type": node("Add", "sums sums", "u", message(5, message(1, "a"), message(14))),
        "a reference": node("Add", "sums sums", "u", message(5, message(1, "a"), message(21, "b"))),
        "sparse weights": message(15, message(1, tensor("sparse", (1 << 40,), (1,)))),
        "quantization annotation": message(14, message(1, "logits")),
        "an overloaded operator": message(1, message(4, "Add"), message(8, "evil")),
        "metadata of the graph": message(16, message(1, "a"), message(2, "b")),
        "an operator as a number": message(1, number(4, 1)),
    }


def _list_tensors() -> dict[str, bytes]:
    """Return tensors that take more than the file gives, or lie elsewhere."""
    outside = (message(13, message(1, "location"), message(2, "/etc/passwd")), number(14, 1))
    return {
        "outside": tensor("unused", (100,), (), *outside),
        "outside, said by its place": tensor("unused", (100,), (), number(14, 1)),
        "outside, said by its file": tensor("unused", (100,), (), outside[0]),
        "of nothing": tensor("unused", (1_000_000_000,)),
        "of a terabyte": tensor("unused", (1 << 40,), (1.0,)),
        "of more than there is": tensor("unused", (1 << 62, 1 << 62), (1.0,)),
        "below nothing": tensor("unused", (-1,), (1.0,)),
        "one too few": tensor("unused", (2,), (1.0,)),
        "one too many": tensor("unused", (1,), (1.0, 2.0)),
        "twice": tensor("unused", (1,), (1.0,), message(4, b"\0\0\x80?")),
        "of a hundred dimensions": tensor("unused", (1,) * 100, (1.0,)),
        "of 100,000 dimensions": tensor("unused", (1 << 62,) * 100_000, (1.0,)),
        "of texts": number(1, 1) + number(2, STRING) + message(8, "unused") + message(6, "a"),
        "of complex numbers": tensor("unused", (1,), (1, 2, 3, 4, 5, 6, 7, 8), kind=14),
        "of no type": number(1, 1) + message(8, "unused") + message(9, b"abcd"),
        "of an unknown type": tensor("unused", (1,), (1,), kind=999),
        "of packed texts": number(1, 100_000)
        + number(2, INT64)
        + message(8, "u")
        + message(7, b"\1" * 100_000),
        "a segment": tensor("unused", (1,), (1.0,), message(3, number(1, 0), number(2, 9))),
    }


def _find_wrong_answers() -> dict[str, Callable[[], bytes]]:
    """Return graphs that load, and give something else than the task's answer for two texts."""

    def end(*nodes: bytes, parts: bytes = b"") -> Callable[[], bytes]:
        return lambda: model(graph(parts, nodes=(*ALONE, *nodes)))

    def constant(name: str, dims: tuple[int, ...], *values: float, kind: int = FLOAT) -> bytes:
        return message(5, tensor(name, dims, values, kind=kind))

    soft = node("Softmax", "sums", "soft", integer("axis", -1))
    golden = (0.8807970779778823, 0.11920292202211769)
    one_row = graph(constant("outputs", (1, 2), *golden), nodes=(), outputs=OUTPUTS)
    return {
        "not a number": end(node("Sub", "sums sums", "zero"), node("Div", "zero zero", "outputs")),
        "infinite": end(
            node("Sub", "sums sums", "zero"),
            node("Exp", "sums", "e"),
            node("Div", "e zero", "outputs"),
        ),
        "no softmax": end(node("Identity", "sums", "outputs")),
        "5 and -4": end(
            soft, node("Add", "soft shift", "outputs"), parts=constant("shift", (2,), 4.12, -4.12)
        ),
        "softmax over the batch": end(node("Softmax", "sums", "outputs", integer("axis", 0))),
        "the same for every text": lambda: model(one_row),
        "three columns": end(
            node("Concat", "soft zeros", "outputs", integer("axis", 1)),
            soft,
            parts=constant("zeros", (1, 1), 0.0),
        ),
        "three columns of each row": end(
            soft,
            node("Slice", "soft start stop last", "column"),
            node("Concat", "soft column", "outputs", integer("axis", 1)),
            parts=constant("start", (1,), 0, kind=INT64)
            + constant("stop", (1,), 1, kind=INT64)
            + constant("last", (1,), 1, kind=INT64),
        ),
        "one column of each row": end(
            node("ReduceSum", "sums axes", "total", integer("keepdims", 1)),
            node("Softmax", "total", "outputs", integer("axis", -1)),
        ),
        "rows the other way round": end(
            soft,
            node("Slice", "soft start stop first back", "outputs"),
            parts=constant("start", (1,), -1, kind=INT64)
            + constant("stop", (1,), -100, kind=INT64)
            + constant("first", (1,), 0, kind=INT64)
            + constant("back", (1,), -1, kind=INT64),
        ),
        "one row for a batch": end(
            soft,
            node("Slice", "soft start stop first", "outputs"),
            parts=constant("start", (1,), 0, kind=INT64)
            + constant("stop", (1,), 1, kind=INT64)
            + constant("first", (1,), 0, kind=INT64),
        ),
        "the batch beside itself": end(
            soft, node("Concat", "soft soft", "outputs", integer("axis", 0))
        ),
        "one text only": end(
            soft,
            node("Reshape", "soft shape", "outputs"),
            parts=constant("shape", (2,), 1, 2, kind=INT64),
        ),
        "two texts only": end(
            soft,
            node("Reshape", "soft shape", "outputs"),
            parts=constant("shape", (2,), 2, 2, kind=INT64),
        ),
        "fewer rows than words": lambda: model(
            graph(
                logits=message(5, tensor("logits", (4, 2), (0, 0, 0, 0, 2, 0, 0, 2))), nodes=NODES
            )
        ),
        "other weights": lambda: model(
            graph(logits=message(5, tensor("logits", (5, 2), (0, 0, 0, 0, 1, 0, 0, 2, 0, 0))))
        ),
        "labels the other way round": lambda: model(
            graph(logits=message(5, tensor("logits", (5, 2), (0, 0, 0, 0, 0, 2, 2, 0, 0, 0))))
        ),
    }


def _find_bombs() -> dict[str, Callable[[], bytes]]:
    """Return graphs of known operators that take all memory or time that they get."""
    doubled = [
        node("Concat", f"x{step} x{step}", f"x{step + 1}", integer("axis", 1)) for step in range(40)
    ]
    grown = [
        node("Transpose", "flat", "wide"),
        *(
            part
            for step in range(4)
            for part in (
                node("Reshape", f"y{step} column", f"c{step}"),
                node("Reshape", f"y{step} line", f"l{step}"),
                node("Mul", f"c{step} l{step}", f"y{step + 1}"),
            )
        ),
    ]
    shapes = message(5, tensor("column", (2,), (-1, 1), kind=INT64)) + message(
        5, tensor("line", (2,), (1, -1), kind=INT64)
    )
    start = message(5, tensor("x0", (1, 4), (1, 1, 1, 1)))
    side = 1024
    square = message(5, tensor("m0", (side, side), [1.0] * side * side))
    slow = [node("MatMul", f"m{step} m0", f"m{step + 1}") for step in range(3_000)]
    slower = [node("Add", "m0 m0", "s0")]
    slower += [node("MatMul", f"s{step} s0", f"s{step + 1}") for step in range(3_000)]
    wide = node("Pad", "x0 pads", "padded")
    pads = message(5, tensor("pads", (4,), (0, 0, 1 << 17, 1 << 17), kind=INT64))
    return {
        "a tensor doubled forty times": lambda: model(graph(start, nodes=(*doubled, *NODES))),
        "products of all with all": lambda: model(
            graph(shapes + start.replace(b"x0", b"y0"), nodes=(*grown[1:], *NODES))
        ),
        "padding of gigabytes": lambda: model(graph(start + pads, nodes=(wide, *NODES))),
        "hours of products with a weight": lambda: model(graph(square, nodes=(*slow, *NODES))),
        "hours of products": lambda: model(graph(square, nodes=(*slower, *NODES))),
    }
