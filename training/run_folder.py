"""The run folder: what training and compression leave for export. Its only reader and writer.

model.keras      stock Keras layers only, so that `keras.saving.load_model` needs no code of ours
tokenizer.json   the words of the tokenizer, what each character is, the name of its rules
metadata.json    format version, task, settings, data hashes, library versions, metrics
held_out.npz     of a run that has learned from its development rows: what models that were fitted
                 without them said, and by how much its own logits are to be moved to say the same
reference.npz    what the model reads of texts, and outputs float32 (rows, num_outputs) of Keras
vectors.npz      float16 (vocabulary, dimensions) by which words are weighed, where a run has such
sample.jsonl.gz, dev.jsonl.gz    of a streamed run: rows that it began with, and rows held out
history.csv, report.md, learning_curves.png and other plots    for people, of a trained run only
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from handler.errors import ArtefactError
from handler.files import replacing, write_json
from handler.inference.tasks import Task, read_task
from handler.inference.tokenizer import Tokenizer
from training.errors import RunError
from training.fitting.batches import feed
from training.output_folders import INNER_WORK, Kind, find_obstacle
from training.tokenizer import parse_document, parse_tokenizer

if TYPE_CHECKING:
    import keras

FORMAT_VERSION = 5
METADATA, MODEL, TOKENIZER = "metadata.json", "model.keras", "tokenizer.json"
REFERENCE, VECTORS, HELD_OUT = "reference.npz", "vectors.npz", "held_out.npz"
SAMPLE, DEV = "sample.jsonl.gz", "dev.jsonl.gz"
STARTED = "started.json"  # beside what is made: settings, data and task of unfinished training
FILES = (
    MODEL,
    TOKENIZER,
    REFERENCE,
    VECTORS,
    HELD_OUT,
    *("history.csv", "report.md"),
    "learning_curves.png",
    "confusion_matrix.png",
    "confusion_matrix.csv",
    "precision_recall.png",
    *(SAMPLE, DEV),
)
MAKE_RUN = "A run folder is made by: minnow train DATA --out RUN"
RUN = Kind("a run", FILES, METADATA, ("format_version", "command"))
STAGES = Kind("stages", ("*.npz",))
UNFINISHED = Kind("unfinished training", (), STARTED, (), {"stages": STAGES, **INNER_WORK})


@dataclass(frozen=True)
class Run:
    """A finished run folder.

    Args:
        metadata: Parsed `metadata.json`.
        task: What the columns of the outputs mean.
    """

    folder: Path
    metadata: Mapping[str, Any]
    task: Task

    @property
    def weight_tables(self) -> tuple[str, ...]:
        """Names of the Embedding layers that hold weights, not vectors."""
        return tuple(self.metadata["weight_tables"])

    @property
    def model_path(self) -> Path:
        return self.folder / MODEL

    @property
    def tokenizer_path(self) -> Path:
        return self.folder / TOKENIZER

    @cached_property
    def tokenizer(self) -> bytes:
        """The bytes of `tokenizer.json`, which can be read."""
        content = self.tokenizer_path.read_bytes()
        with self._reading(self.tokenizer_path):
            num_words, wanted = len(parse_document(content)["words"]), self.metadata["vocab_size"]
            if num_words != wanted:
                raise ArtefactError(f"{num_words} words, where the model was trained with {wanted}")
        return content

    def load_tokenizer(self) -> Tokenizer:
        """Return the tokenizer; raises RunError if the file is damaged."""
        return parse_tokenizer(self.tokenizer, self.metadata["max_length"])

    def load_model(self) -> keras.Model:
        """Return the model; raises RunError if the file is damaged."""
        import keras

        with self._reading(self.model_path):
            return keras.saving.load_model(self.model_path, compile=False)

    def load_vectors(self) -> NDArray[np.float32] | None:
        """Return the vectors of words, float32, shape (vocabulary, dimensions); None: it has none.

        Raises:
            RunError: The file is damaged.
        """
        if not (self.folder / VECTORS).exists():
            return None
        with self._reading_arrays(VECTORS) as arrays:
            vectors: NDArray[np.float32] = arrays["vectors"].astype(np.float32)
            if len(vectors) != self.metadata["vocab_size"]:
                raise ArtefactError(f"{len(vectors)} vectors, not one for each word")
        return vectors

    @property
    def is_cross_validated(self) -> bool:
        """Whether the model has learned from its development rows too."""
        return bool(self.metadata.get("cross_validated"))

    def held_out(self) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
        """Return what is known of rows as if the model had not learned from them.

        Returns:
            As in `Fitted`: numbers of the rows, int64, (rows,); outputs, float32, (rows,
            num_outputs); offsets, float32, (rows, logits of all parts of the model).

        Raises:
            RunError: The file is missing or damaged.
        """
        with self._reading_arrays(HELD_OUT) as arrays:
            return arrays["rows"], arrays["outputs"], arrays["offsets"]

    @contextmanager
    def _reading(self, path: Path) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # of zip, JSON, HDF5, or of a field that is not there
            reason = " ".join(str(error).split())[:200]
            raise RunError(
                f"{path}: cannot be read ({type(error).__name__}: {ascii(reason)[1:-1]}). "
                f"{advise_training(self.metadata)}"
            ) from error

    @contextmanager
    def _reading_arrays(self, name: str) -> Iterator[Mapping[str, NDArray[Any]]]:
        path = self.folder / name
        # NumPy leaves a file that it opened itself open when it turns out to be no archive.
        with self._reading(path), path.open("rb") as file, np.load(file) as arrays:
            yield arrays

    def reference(self) -> tuple[list[list[int]], NDArray[np.float32]]:
        """Return texts that every later stage is compared on.

        Returns:
            What the model reads of each, as `Encoded.rows` has it; and what Keras gives for them,
            float32, shape (rows, num_outputs).

        Raises:
            RunError: The file cannot be read.
        """
        with self._reading_arrays(REFERENCE) as arrays:
            ends = np.cumsum(arrays["lengths"])[:-1]
            rows = [row.tolist() for row in np.split(arrays["rows"], ends)]
            return rows, arrays["outputs"]


def is_run(folder: Path) -> bool:
    """Say whether `folder` is a finished run."""
    return (folder / METADATA).is_file()


def check_free(folder: Path, force: bool, inputs: Iterable[Path] = ()) -> None:
    """Raise RunError unless `folder` can be written: free, or with `force` a run and no more.

    Args:
        inputs: Files and folders that are read; neither may hold the other.
    """
    inputs = list(inputs)
    if obstacle := find_obstacle(folder, RUN, force, inputs):
        raise RunError(obstacle)
    partial = name_partial(folder)
    if os.path.lexists(partial):
        obstacle = find_obstacle(partial, UNFINISHED, True, inputs)
        if obstacle:
            raise RunError(f"{obstacle} Training would keep its work in progress there.")


def name_partial(folder: Path) -> Path:
    """Return where the work in progress of the run `folder` stands."""
    return folder.with_name(f"{folder.name}.partial")


def read_run(folder: Path) -> Run:
    """Return the run in `folder`.

    Raises:
        RunError: It is missing, incomplete, or of a format that this build does not read.
    """
    path = folder / METADATA
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(_describe_no_run(folder)) from error
    except NotADirectoryError as error:
        raise RunError(f"{folder}: is a file, wanted the folder of a run. {MAKE_RUN}") from error
    except ValueError as error:
        raise RunError(f"{path}: not JSON. Train again: minnow train DATA --out RUN") from error
    if not isinstance(metadata, dict):
        metadata = {}
    found = metadata.get("format_version")
    if found != FORMAT_VERSION:
        raise RunError(
            f"{path}: format_version is {found}, this build reads {FORMAT_VERSION}. "
            f"{advise_training(metadata)}"
        )
    for name in (MODEL, TOKENIZER, REFERENCE):
        if not (folder / name).is_file():
            raise RunError(
                f"{folder / name}: no such file. The run is incomplete. {advise_training(metadata)}"
            )
    try:
        return Run(folder, metadata, read_task(metadata["task"]))
    except (ArtefactError, KeyError, TypeError) as error:
        raise RunError(f"{path}: cannot be read ({error}). {advise_training(metadata)}") from error


def _describe_no_run(folder: Path) -> str:
    """Return what `folder`, which has no metadata, is in place of a run."""
    if not folder.exists():
        return (
            f"{folder / METADATA}: no such file. A run folder is made by: minnow train DATA "
            f"--out {folder}"
        )
    if (folder / "manifest.json").exists():
        return f"{folder}: is a bundle, wanted the run that it was made of."
    if runs := sorted(child for child in folder.iterdir() if is_run(child)):
        return f"{folder}: is no run, but holds some: name one, such as {runs[0]}"
    return f"{folder / METADATA}: no such file. {folder} is no run. {MAKE_RUN}"


def write_run(
    folder: Path,
    model: keras.Model,
    tokenizer: bytes,
    rows: Sequence[Sequence[int]],
    metadata: Mapping[str, Any],
    vectors: NDArray[np.float32] | None = None,
) -> None:
    """Write a run into `folder`, which exists; `metadata.json` last, so that it is a run only then.

    Args:
        model: Of stock Keras layers, token ids -> outputs.
        tokenizer: Content of `tokenizer.json`.
        rows: What the model reads of texts, as `Encoded.rows` has them.
        metadata: All of `metadata.json` but its format version.
        vectors: Shape (vocabulary, dimensions), by which words are weighed; None: by none.
    """
    with replacing(folder / MODEL) as temporary:
        model.save(temporary)
    with replacing(folder / TOKENIZER) as temporary:
        temporary.write_bytes(tokenizer)
    outputs = np.asarray(model(feed(model, rows), training=False))
    flat = np.array([number for row in rows for number in row], np.int32)
    lengths = np.array([len(row) for row in rows], np.int64)
    with replacing(folder / REFERENCE) as temporary:
        np.savez_compressed(temporary, rows=flat, lengths=lengths, outputs=outputs)
    if vectors is not None:
        with replacing(folder / VECTORS) as temporary:
            np.savez_compressed(temporary, vectors=vectors.astype(np.float16))
    write_json(folder / METADATA, {"format_version": FORMAT_VERSION, **metadata})


def write_held_out(
    folder: Path,
    rows: NDArray[np.int64],
    outputs: NDArray[np.float32],
    offsets: NDArray[np.float32],
) -> None:
    """Write what `Run.held_out` gives into the run `folder`."""
    with replacing(folder / HELD_OUT) as temporary:
        np.savez_compressed(temporary, rows=rows, outputs=outputs, offsets=offsets)


def advise_training(metadata: Mapping[str, Any]) -> str:
    """Return what to do about a run that is of no use: its own command, where it tells, in words
    that this build knows, and with leave to replace the run."""
    command = str(metadata.get("command") or "minnow train DATA --out RUN")
    command = re.sub(r"(?<=--recipe[ =])seed\b", "stacked", command)  # its name in format 1
    return f"Train again: {command}{'' if '--force' in command.split() else ' --force'}"
