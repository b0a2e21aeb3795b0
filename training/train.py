"""From labelled texts to a run folder."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import importlib.metadata
import json
import platform
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from training.batches import pad
from training.errors import DataError, RunError
from training.fit import Encoded, make_predictor
from training.metrics import evaluate
from training.readers import Columns, Dataset, check_trainable, read_dataset
from training.report import write_report
from training.run_folder import FORMAT_VERSION, Run, read_run, write_json
from training.settings import Settings
from training.split import split_rows
from training.tokenizer import PAD_ID, UNKNOWN_ID, encode_texts, train_tokenizer

REFERENCE_ROWS = 64
LIBRARIES = ("tensorflow", "keras", "numpy", "tokenizers")


@dataclass(frozen=True)
class Sources:
    """Where the rows come from; without `dev` a part of `train` is held out."""

    train: Path
    dev: Path | None = None
    test: Path | None = None
    columns: Columns = Columns()


@dataclass(frozen=True)
class Splits:
    """The rows by use."""

    train: Encoded
    dev: Encoded
    dev_labels: list[str]


def train_run(
    sources: Sources, out: Path, settings: Settings, force: bool = False, command: str = ""
) -> Run:
    """Train on `sources` and return the run in `out`.

    Work in progress stands in `<out>.partial`; where that folder is there, made by the same data
    and settings, training goes on from it. `out` appears when everything is in it.
    `command` is kept in the metadata, so that others can do the same.

    Raises:
        DataError: The data cannot be trained on; said before any training.
        RunError: `out` exists (without `force`), or the work in progress is of other settings.
    """
    started = time.monotonic()
    if out.exists() and not force:
        raise RunError(f"{out}: exists already. Give another --out, or --force to replace it.")
    dataset = read_dataset(sources.train, sources.columns)
    check_trainable(dataset)
    dev_set = read_dataset(sources.dev, sources.columns) if sources.dev else None
    test_set = read_dataset(sources.test, sources.columns) if sources.test else None
    for other in filter(None, (dev_set, test_set)):
        _check_labels(other, dataset)

    partial = out.with_name(out.name + ".partial")
    data = {
        role: {"path": str(part.path), "rows": len(part), "sha256": part.sha256}
        for role, part in (("train", dataset), ("dev", dev_set), ("test", test_set))
        if part is not None
    }
    _claim_partial(partial, {"settings": dataclasses.asdict(settings), "data": data}, force)

    keras.utils.set_random_seed(settings.seed)
    train_rows, dev_rows = (
        (list(range(len(dataset))), None)
        if dev_set
        else split_rows(dataset, settings.dev_fraction, settings.seed)
    )
    tokenizer = _train_tokenizer(partial, [dataset.texts[row] for row in train_rows], settings)
    labels = sorted(set(dataset.labels))
    splits = _encode_splits(tokenizer, dataset, dev_set, train_rows, dev_rows, labels)

    recipe = importlib.import_module(f"training.recipes.{settings.recipe}")
    model = recipe.build_model(settings, tokenizer.get_vocab_size(), len(labels))
    checkpoint = partial / "checkpoint.npz"
    history = recipe.fit_model(model, splits.train, splits.dev, settings, checkpoint)

    predict = make_predictor(model)
    metrics = {"dev": evaluate(splits.dev_labels, predict(splits.dev.token_ids), labels)}
    if test_set:
        test_ids = encode_texts(tokenizer, test_set.texts)
        metrics["test"] = evaluate(test_set.labels, predict(test_ids), labels)

    model.save(partial / "model.keras")
    reference = reference_rows(splits.dev.token_ids, settings.max_length)
    np.savez_compressed(
        partial / "reference.npz",
        token_ids=pad(reference),
        probabilities=predict(reference),
    )
    metadata = {
        "format_version": FORMAT_VERSION,
        "command": command,
        "recipe": settings.recipe,
        "settings": dataclasses.asdict(settings),
        "labels": labels,
        "max_length": settings.max_length,
        "pad_id": PAD_ID,
        "unknown_id": UNKNOWN_ID,
        "vocab_size": tokenizer.get_vocab_size(),
        "columns": dataclasses.asdict(sources.columns),
        "data": data,
        "versions": {name: importlib.metadata.version(name) for name in LIBRARIES}
        | {"minnow-maas": importlib.metadata.version("minnow-maas")}
        | {"python": platform.python_version()},
        "metrics": metrics,
        "seconds": round(time.monotonic() - started, 1),
    }
    write_report(partial, metadata, history)
    write_json(partial / "metadata.json", metadata)
    for name in ("started.json", "checkpoint.npz", "wide.npz"):
        (partial / name).unlink(missing_ok=True)
    if out.exists():
        shutil.rmtree(out)
    partial.rename(out)
    return read_run(out)


def load_predictor(run: Run) -> Callable[[list[str]], NDArray[np.float32]]:
    """Return a function from texts to Keras' probabilities, shape (len(texts), num_classes)."""
    model = keras.saving.load_model(run.model_path, compile=False)
    tokenizer = Tokenizer.from_file(str(run.tokenizer_path))
    predict = make_predictor(model)
    return lambda texts: predict(encode_texts(tokenizer, texts))


def reference_rows(token_ids: Sequence[Sequence[int]], max_length: int) -> list[list[int]]:
    """Return rows that a conversion must get right: every length, and the ends.

    An empty text, one token, one unknown token, exactly `max_length` tokens, and development
    texts spread evenly over their sorted lengths.
    """
    longest = max(token_ids, key=len)
    full = (list(longest) or [UNKNOWN_ID]) * max_length
    edges: list[list[int]] = [
        [],
        list(longest[:1]) or [UNKNOWN_ID],
        [UNKNOWN_ID],
        full[:max_length],
    ]
    by_length = sorted(token_ids, key=len)
    num_spread = REFERENCE_ROWS - len(edges)
    spread = np.linspace(0, len(by_length) - 1, num_spread).round().astype(int)
    return edges + [list(by_length[row]) for row in spread]


def _claim_partial(partial: Path, started: dict[str, Any], force: bool) -> None:
    note = partial / "started.json"
    signature = hashlib.sha256(repr(sorted(_flatten(started))).encode()).hexdigest()
    started = {"signature": signature, **started}
    if note.exists():
        found = json.loads(note.read_text("utf-8"))
        if found["signature"] == signature:
            return
        if not force:
            changed = sorted(set(_flatten(found)) ^ set(_flatten(started)))
            names = sorted({name for name, _ in changed} - {"signature"})
            raise RunError(
                f"{partial}: holds unfinished training of other settings or data "
                f"({', '.join(names)} differ). Repeat them to go on, or start anew with --force."
            )
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    write_json(note, started)


def _flatten(value: Any, name: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        parts = [_flatten(part, f"{name}.{key}".strip(".")) for key, part in value.items()]
        return [pair for part in parts for pair in part]
    return [(name, repr(list(value) if isinstance(value, tuple) else value))]


def _train_tokenizer(partial: Path, texts: list[str], settings: Settings) -> Tokenizer:
    path = partial / "tokenizer.json"
    if not path.exists():
        tokenizer = train_tokenizer(texts, settings.vocab_size, settings.max_length)
        temporary = partial / "tokenizer.json.tmp"
        tokenizer.save(str(temporary), pretty=False)
        temporary.replace(path)
    return Tokenizer.from_file(str(path))


def _encode_splits(
    tokenizer: Tokenizer,
    dataset: Dataset,
    dev_set: Dataset | None,
    train_rows: list[int],
    dev_rows: list[int] | None,
    labels: list[str],
) -> Splits:
    token_ids = encode_texts(tokenizer, dataset.texts)
    column = {label: index for index, label in enumerate(labels)}
    label_ids = np.array([column[label] for label in dataset.labels], np.int32)
    train = Encoded([token_ids[row] for row in train_rows], label_ids[train_rows])
    if dev_set is not None:
        dev_labels = dev_set.labels
        dev_ids = encode_texts(tokenizer, dev_set.texts)
    else:
        dev_labels = [dataset.labels[row] for row in dev_rows or []]
        dev_ids = [token_ids[row] for row in dev_rows or []]
    dev = Encoded(dev_ids, np.array([column[label] for label in dev_labels], np.int32))
    return Splits(train, dev, dev_labels)


def _check_labels(other: Dataset, train: Dataset) -> None:
    unknown = sorted(set(other.labels) - set(train.labels))
    if unknown:
        raise DataError(
            f"{other.path}: {len(unknown)} labels do not stand in {train.path}, the first is "
            f"{unknown[0]!r}. Use the same labels in both."
        )
