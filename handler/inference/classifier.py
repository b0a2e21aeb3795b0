"""The classifier: texts in, the model's outputs out. All that serves goes through it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

# numpy's OpenBLAS makes a thread pool and its buffers at import: a sixth of the time that numpy and
# onnxruntime take to import, for matrix products that no one asks for here.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# From 1.29 on, ONNX Runtime's wheels for Linux report sessions and model hashes to Microsoft unless
# told not to before the import: https://github.com/microsoft/onnxruntime/pull/27379
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402

from handler.errors import ArtefactError  # noqa: E402
from handler.inference.bounds import Stops, bounds  # noqa: E402
from handler.inference.bundle import EXPORT_AGAIN, Bundle, naming, read_bundle  # noqa: E402
from handler.inference.golden import check_golden, check_interface  # noqa: E402
from handler.inference.manifest import MANIFEST, MODEL  # noqa: E402
from handler.inference.padding import feed  # noqa: E402
from handler.inference.tasks import Selective  # noqa: E402
from handler.inference.tokenizer import Encoding, Located  # noqa: E402
from handler.inference.trust import ANY, Trust  # noqa: E402

if TYPE_CHECKING:
    from numpy.typing import NDArray

CPU = ("CPUExecutionProvider",)
# Rows x padded tokens in one run: bounds memory (two stacked LSTMs of 128 units need about 1 KB a
# token) whatever a request holds, and is past the point where a larger batch is quicker a row.
MAX_BATCH_TOKENS = 16_384
# An int8 LSTM also computes the padding, so a batch of 64 mixed lengths is no quicker than 64 runs.
# A batch ends at a text a tenth longer than its shortest, once it has 8 rows: below that, more rows
# gain more than padding costs. Time of 64 runs of one: 64 texts of 230 words 0.54; 64 reviews 0.65
# (0.79 in one batch); 64 cut anywhere 0.61 (0.88 in one batch).
MIN_BATCH_ROWS = 8
MAX_LENGTH_SPREAD = 1.1
# Memory that loading may take. Weights are read, copied, and laid out anew for each node that
# multiplies with them: 2 times the file of the shipped model. A word takes 200 bytes, and a run of
# two dozen tokens 1 MB; operators that are harmless one by one can double a tensor thirty times.
LOAD_BYTES, LOAD_TIMES, WORD_BYTES = 128 << 20, 8, 1_000


class Prediction(NamedTuple):
    """What the model says of one text; the task tells what its outputs mean.

    Args:
        outputs: A value for each column of the task, and behind them the text's distance from the
            model's scope, where the task has one.
        truncated: The text had more tokens than the model reads; the rest was not looked at.
        known_tokens: Tokens that stand in the vocabulary; 0 means the answer is the bare prior.
        num_tokens: Tokens that the model read, known or not.
    """

    outputs: list[float]
    truncated: bool
    known_tokens: int
    num_tokens: int


class Classifier:
    """A session and a tokenizer, built once per process, used by any number of calls.

    Args:
        bundle: From `read_bundle`.
        threads: Threads of one run; 1 suits a function with one vCPU, 0 is one for each core.
        providers: ONNX Runtime execution providers.
        stops: Of `bounds`, within which it is made.

    Raises:
        ArtefactError: The bundle cannot be loaded, or its precision is for another device.
    """

    def __init__(
        self,
        bundle: Bundle,
        threads: int = 1,
        providers: Sequence[str] = CPU,
        stops: Stops | None = None,
    ) -> None:
        self.folder = bundle.folder
        self.manifest = bundle.manifest
        self.task = bundle.manifest.task
        self._scope = self.task.scope if isinstance(self.task, Selective) else None
        self.model_sha256 = bundle.manifest.files[MODEL].sha256
        self.bundle_sha256 = bundle.sha256
        self.size_bytes = bundle.size_bytes
        self.tokenizer = bundle.tokenizer
        is_cpu = tuple(providers) == CPU
        if bundle.manifest.precision == "int8" and not is_cpu:
            # ONNX Runtime has no int8 LSTM for CUDA: it would copy the batch to the CPU and back,
            # and take three times as long as the CPU alone.
            raise ArtefactError(
                f"{bundle.folder}: precision is int8, a model for the CPU, and this process serves "
                "by a GPU. Export again: minnow export RUN --out BUNDLE --precision float32"
            )
        # A GPU takes the same time for 8 rows and for 64, however long.
        self._max_spread = MAX_LENGTH_SPREAD if is_cpu else math.inf
        options = session_options(threads)
        if stops is not None:
            stops.append(partial(options.set_load_cancellation_flag, True))
        with _loading(bundle.folder / MODEL):
            self.session = onnxruntime.InferenceSession(
                bundle.model,
                options,
                providers=list(providers),
                enable_fallback=int(not is_cpu),  # to the CPU; it would only print and try again
            )
        with naming(bundle.folder / MODEL):
            check_interface(self.session, self.manifest, self.tokenizer.reads_letters)

    def encode_texts(self, texts: Sequence[str]) -> list[Encoding]:
        """Return what the model reads of each text."""
        return [self.tokenizer.encode(text) for text in texts]

    def locate_tokens(self, texts: Sequence[str]) -> list[Located]:
        """Return what the model reads of each text, and where it stands, at a higher price."""
        return [self.tokenizer.locate(text) for text in texts]

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """Return one prediction per text, in the order of `texts`."""
        encodings = self.encode_texts(texts)
        outputs = self.run([encoding.row for encoding in encodings]).tolist()
        if self._scope is not None:
            for row, encoding in zip(outputs, encodings, strict=True):
                row.append(self._scope.measure(encoding.ids))
        return [
            Prediction(row, is_truncated, self.count_known(ids), len(ids))
            for row, (ids, is_truncated, _) in zip(outputs, encodings, strict=True)
        ]

    def predict_outputs(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the model's outputs, float32, shape (len(texts), columns of the task)."""
        return self.run([encoding.row for encoding in self.encode_texts(texts)])

    def run(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return the outputs of texts, float32, shape (len(rows), columns).

        They are run in batches of similar length, so that padding costs little.

        Args:
            rows: `Encoding.row` of each.
        """
        if len(rows) == 1:
            return self.run_batch(rows)
        outputs = np.empty((len(rows), self.task.num_outputs), np.float32)
        for batch in _batches([len(row) for row in rows], self._max_spread):
            outputs[batch] = self.run_batch([rows[index] for index in batch])
        return outputs

    def run_batch(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return the outputs of texts that are run as one batch, as `run` does."""
        (outputs,) = self.session.run(None, self.feed(rows))
        return cast("NDArray[np.float32]", outputs)

    def feed(self, rows: Sequence[Sequence[int]]) -> dict[str, NDArray[np.int32]]:
        """Return the arrays that the session reads of texts, by the names of its inputs."""
        return feed(rows, self.manifest.pad_id, self.tokenizer.reads_letters)

    def count_known(self, ids: Sequence[int]) -> int:
        """Return how many of `ids` are neither padding nor the unknown token."""
        return len(ids) - ids.count(self.manifest.unknown_id) - ids.count(self.manifest.pad_id)

    def check_golden(self, stops: Stops | None = None) -> None:
        """Raise ArtefactError unless the golden text gets the outputs in the manifest."""
        (encoding,) = self.encode_texts([self.manifest.golden.text])
        last_id = len(self.tokenizer.word_ids) - 1
        options = onnxruntime.RunOptions()
        if stops is not None:
            stops.append(partial(setattr, options, "terminate", True))  # at the next node
        reads_letters = self.tokenizer.reads_letters
        with naming(self.folder / MANIFEST):
            check_golden(self.session, self.manifest, encoding.row, last_id, reads_letters, options)


def load_classifier(
    folder: Path,
    threads: int = 1,
    providers: Sequence[str] = CPU,
    trust: Trust = ANY,
) -> Classifier:
    """Return a classifier over the bundle in `folder`, hashes and golden text checked.

    Args:
        trust: Which bundles may serve.

    Raises:
        ArtefactError: The bundle must not serve; the message names the file and the cure.
    """
    return open_classifier(read_bundle(folder, trust), threads, providers)


def open_classifier(
    bundle: Bundle, threads: int = 1, providers: Sequence[str] = CPU, is_alone: bool = True
) -> Classifier:
    """Return a classifier over a bundle that was read, its golden text checked.

    Args:
        is_alone: No other thread works meanwhile; where one does, no other one does this.

    Raises:
        ArtefactError: The bundle must not serve; the message names the file and the cure.
    """
    num_words = len(bundle.tokenizer.word_ids)
    most_bytes = LOAD_BYTES + LOAD_TIMES * len(bundle.model) + WORD_BYTES * num_words
    num_threads = max(threads, os.cpu_count() or 1)  # 0 threads are one for each core
    bounded: AbstractContextManager[Stops] = nullcontext([])
    if tuple(providers) == CPU:
        bounded = bounds(most_bytes, num_threads, is_alone)
    with bounded as stops:
        classifier = Classifier(bundle, threads, providers, stops)
        classifier.check_golden(stops)
    return classifier


@contextmanager
def _loading(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the library raises bare Exception subclasses of its own
        raise ArtefactError(
            f"{path}: cannot be loaded ({type(error).__name__}). {EXPORT_AGAIN}"
        ) from error


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """Return options for a small graph that was optimised at export and must start quickly."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Only what ends the process: errors come as exceptions, and a line would hold names of nodes.
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Lengths vary with every request, and a memory pattern is kept for each shape ever seen.
    options.enable_mem_pattern = False
    return options


def _batches(lengths: Sequence[int], max_spread: float) -> Iterator[list[int]]:
    """Yield row numbers in batches, shortest texts first.

    Args:
        lengths: Tokens of each row.
        max_spread: Of the longest text to the shortest of a batch that has MIN_BATCH_ROWS.
    """
    rows: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if rows:
            is_full = (len(rows) + 1) * lengths[row] > MAX_BATCH_TOKENS
            is_longer = lengths[row] > max_spread * lengths[rows[0]]
            if is_full or (is_longer and len(rows) >= MIN_BATCH_ROWS):
                yield rows
                rows = []
        rows.append(row)
    if rows:
        yield rows
