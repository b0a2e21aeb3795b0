"""Models of other kinds beside Minnow's: one text and 64 at a time, on one core.

fastText and the pipeline are fitted on the rows that are given, each reading raw text in its own
way. The transformer has DistilBERT's size, random weights and int8 matrix products; it is given 1.3
tokens a word, 512 at most, and the time of its tokenizer is not counted.
"""

from __future__ import annotations

import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from handler.inference.classifier import load_classifier, session_options

NUM_LAYERS, WIDTH, NUM_HEADS, INNER, VOCAB_SIZE, MAX_TOKENS = 6, 768, 12, 3072, 30_522, 512
TOKENS_A_WORD = 1.3
BATCH = 64
MAX_ROWS = 5_000  # that fastText and the pipeline are fitted on
MINNOW = "Minnow"

Classify = Callable[[Sequence[str]], Any]


def measure_models(bundle: Path, dataset: Any, texts: Sequence[str], rounds: int) -> None:
    """Print the milliseconds of one text and the texts a second in batches, the models in turns."""
    models: dict[str, Classify] = {MINNOW: load_classifier(bundle).predict}
    models["fastText"] = fit_fasttext(dataset.texts[:MAX_ROWS], dataset.labels[:MAX_ROWS])
    models["TF-IDF + regression"] = fit_pipeline(
        dataset.texts[:MAX_ROWS], dataset.labels[:MAX_ROWS]
    )
    models["DistilBERT's size"] = make_transformer()
    batch = [texts[index % len(texts)] for index in range(BATCH)]
    alone: dict[str, list[float]] = {name: [] for name in models}
    bulk: dict[str, list[float]] = {name: [] for name in models}
    for number in range(rounds + 1):  # the first warms up
        for name, classify in models.items():
            few = texts[:3] if name == "DistilBERT's size" else texts
            times = [_time(classify, [text]) for text in few]
            seconds = _time(classify, batch)
            if number:
                alone[name].append(1000 * statistics.median(times))
                bulk[name].append(seconds)
    print(f"\n{rounds} rounds, one thread, {BATCH} texts in a batch; ratios to {MINNOW}")
    print(f"{'':22}{'one, ms':>10}{'ratio':>8}{'texts/s':>10}{'time ratio':>12}")
    for name in models:
        one, many = (
            statistics.median(a / b for a, b in zip(times[name], times[MINNOW], strict=True))
            for times in (alone, bulk)
        )
        rate = BATCH / statistics.median(bulk[name])
        print(
            f"{name:22}{statistics.median(alone[name]):10.3f}{one:8.2f}{rate:10.0f}{many:12.2f}",
            flush=True,
        )


def _time(classify: Classify, texts: Sequence[str]) -> float:
    started = time.perf_counter()
    classify(texts)
    return time.perf_counter() - started


def fit_fasttext(texts: Sequence[str], labels: Sequence[str]) -> Classify:
    """Return fastText's `predict`, with pairs of words."""
    names = {label: f"__label__{index}" for index, label in enumerate(dict.fromkeys(labels))}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.txt"
        rows = zip(texts, labels, strict=True)
        path.write_text("".join(f"{names[one]} {' '.join(text.split())}\n" for text, one in rows))
        model = fasttext.train_supervised(str(path), wordNgrams=2, epoch=1, thread=1, verbose=0)
    return lambda given: model.predict([text.replace("\n", " ") for text in given])


def fit_pipeline(texts: Sequence[str], labels: Sequence[str]) -> Classify:
    """Return `predict_proba` of TF-IDF over words and pairs, and logistic regression."""
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    pipeline = make_pipeline(vectorizer, LogisticRegression(max_iter=200))
    pipeline.fit(list(texts), list(labels))
    return pipeline.predict_proba


def make_transformer() -> Classify:
    """Return a function that runs an int8 graph of DistilBERT's size on as many tokens."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.getLogger().setLevel(logging.ERROR)  # it advises a step that such a graph does not need
    with tempfile.TemporaryDirectory() as folder:
        plain, small = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
        onnx.save(build_transformer(), plain)
        quantize_dynamic(plain, small, weight_type=QuantType.QInt8)
        options = session_options(1)
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        session = onnxruntime.InferenceSession(small, options, providers=["CPUExecutionProvider"])

    def classify(texts: Sequence[str]) -> Any:
        longest = max(len(text.split()) for text in texts)
        num_tokens = max(1, min(MAX_TOKENS, int(TOKENS_A_WORD * longest)))
        ids = np.full((len(texts), num_tokens), 7, np.int64)
        return [
            session.run(None, {"ids": ids[start : start + 8]}) for start in range(0, len(ids), 8)
        ]

    return classify


class _Graph:
    """Nodes and weights as they are added; `add` returns the name of a node's output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._rng = np.random.default_rng(7)

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def keep(self, values: NDArray[Any]) -> str:
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def random(self, *shape: int) -> str:
        return self.keep(self._rng.normal(0, 0.02, shape).astype(np.float32))

    def dense(self, of: str, rows: int, columns: int) -> str:
        return self.add(
            "Add", self.add("MatMul", of, self.random(rows, columns)), self.random(columns)
        )

    def normalize(self, of: str) -> str:
        scale = self.keep(np.ones(WIDTH, np.float32))
        return self.add("LayerNormalization", of, scale, self.random(WIDTH), axis=-1)


def build_transformer() -> onnx.ModelProto:
    """Return the float32 graph: ids (batch, tokens) to two probabilities."""
    graph = _Graph()
    state = graph.normalize(graph.add("Gather", graph.random(VOCAB_SIZE, WIDTH), "ids"))
    for _ in range(NUM_LAYERS):
        state = _add_layer(graph, state)
    first = graph.add("Gather", state, graph.keep(np.array(0)), axis=1)
    graph.add("Softmax", graph.dense(first, WIDTH, 2), axis=-1)
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "tokens"])
    output = helper.make_tensor_value_info(
        graph.nodes[-1].output[0], TensorProto.FLOAT, ["batch", 2]
    )
    made = helper.make_graph(graph.nodes, "transformer", [ids], [output], graph.weights)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _add_layer(graph: _Graph, state: str) -> str:
    split = graph.keep(np.array([0, 0, NUM_HEADS, WIDTH // NUM_HEADS]))
    joined = graph.keep(np.array([0, 0, WIDTH]))

    def heads(order: list[int]) -> str:
        found = graph.add("Reshape", graph.dense(state, WIDTH, WIDTH), split)
        return graph.add("Transpose", found, perm=order)

    query, keys, values = heads([0, 2, 1, 3]), heads([0, 2, 3, 1]), heads([0, 2, 1, 3])
    scale = graph.keep(np.array((WIDTH // NUM_HEADS) ** -0.5, np.float32))
    scores = graph.add(
        "Softmax", graph.add("Mul", graph.add("MatMul", query, keys), scale), axis=-1
    )
    mixed = graph.add("Transpose", graph.add("MatMul", scores, values), perm=[0, 2, 1, 3])
    mixed = graph.dense(graph.add("Reshape", mixed, joined), WIDTH, WIDTH)
    state = graph.normalize(graph.add("Add", state, mixed))
    inner = graph.dense(state, WIDTH, INNER)
    root, one, half = (graph.keep(np.array(each, np.float32)) for each in (2**0.5, 1, 0.5))
    curve = graph.add("Add", graph.add("Erf", graph.add("Div", inner, root)), one)
    inner = graph.add("Mul", graph.add("Mul", inner, curve), half)  # GELU
    return graph.normalize(graph.add("Add", state, graph.dense(inner, INNER, WIDTH)))
