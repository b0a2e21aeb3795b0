"""From labelled texts to a run folder."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from handler.files import replacing, write_json
from training.batches import pad
from training.data import Data, Encoded, Part, Sources, encode_part, read_sources
from training.errors import RunError
from training.fit import CONSTANTS as FIT_CONSTANTS
from training.fit import make_predictor
from training.recipe import Recipe, Stages, load_recipe
from training.report import write_report
from training.run_folder import TOKENIZER, Run, check_free, read_run, write_run
from training.settings import Settings
from training.tokenizer import CONSTANTS as TOKENIZER_CONSTANTS
from training.tokenizer import PAD_ID, UNKNOWN_ID, encode_texts, train_tokenizer

REFERENCE_ROWS = 64
LIBRARIES = ("tensorflow", "keras", "numpy", "tokenizers", "minnow-maas")
STARTED = "started.json"  # settings, data and task of the work in progress


def train_run(
    sources: Sources,
    out: Path,
    settings: Settings,
    force: bool = False,
    command: str = "",
    data: Data | None = None,
) -> Run:
    """Train on `sources` and return the run in `out`.

    Work in progress stands in `<out>.partial`; where that folder is there, made by the same data
    and settings, training goes on from it. `out` appears when everything is in it.

    Args:
        command: Kept in the metadata, so that others can do the same.
        data: What `read_sources` gives, if it is there already.

    Raises:
        DataError: The data cannot be trained on; said before any training.
        RunError: `out` exists (without `force`), or the work in progress is of other settings.
    """
    started = time.monotonic()
    check_free(out, force)
    data = data or read_sources(sources)
    partial = out.with_name(f"{out.name}.partial")
    wanted = {
        "settings": dataclasses.asdict(settings),
        "data": data.describe(),
        "task": data.objective.task.describe(),
    }
    _claim_partial(partial, wanted, force)
    _train(partial, data, settings, command, started)
    if out.exists():
        shutil.rmtree(out)
    partial.rename(out)
    return read_run(out)


def _train(partial: Path, data: Data, settings: Settings, command: str, started: float) -> None:
    """Write the finished run into `partial`, from where the work in progress stands there."""
    keras.utils.set_random_seed(settings.seed)
    objective = data.objective
    train_part, dev_part = data.split(settings.dev_fraction, settings.seed)
    tokenizer = _train_tokenizer(partial / TOKENIZER, train_part.texts, settings)
    train, dev = (encode_part(part, tokenizer, objective) for part in (train_part, dev_part))
    recipe = load_recipe(settings.recipe)
    model = recipe.build_model(settings, tokenizer.get_vocab_size(), objective)
    stages = Stages(partial / "stages")
    history = recipe.fit_model(model, train, dev, settings, objective, stages)

    metadata = _describe(data, settings, recipe, tokenizer) | {
        "command": command,
        "metrics": _measure(model, tokenizer, data, dev_part, dev),
        "seconds": round(time.monotonic() - started, 1),
    }
    write_report(partial, metadata, history, objective)
    reference_ids = pad(reference_rows(dev.token_ids, settings.max_length))
    write_run(partial, model, (partial / TOKENIZER).read_bytes(), reference_ids, metadata)
    stages.remove()
    (partial / STARTED).unlink()


def load_predictor(run: Run) -> Callable[[list[str]], NDArray[np.float32]]:
    """Return a function from texts to what Keras computes of them.

    Its result is float32, shape (len(texts), num_outputs).
    """
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
    note = partial / STARTED
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


def _train_tokenizer(path: Path, texts: list[str], settings: Settings) -> Tokenizer:
    """Return the tokenizer in `path`, made there where it is not yet."""
    if not path.exists():
        tokenizer = train_tokenizer(texts, settings.vocab_size, settings.max_length)
        with replacing(path) as temporary:
            tokenizer.save(str(temporary), pretty=False)
    return Tokenizer.from_file(str(path))


def _measure(
    model: keras.Model, tokenizer: Tokenizer, data: Data, dev_part: Part, dev: Encoded
) -> dict[str, Any]:
    """Return the figures on the development rows, and on test rows where there are any."""
    predict, objective = make_predictor(model), data.objective
    metrics = {"dev": objective.evaluate(dev_part.labels, predict(dev.token_ids))}
    if data.test is not None:
        outputs = predict(encode_texts(tokenizer, data.test.texts))
        metrics["test"] = objective.evaluate(data.test.labels, outputs)
    return metrics


def _describe(
    data: Data, settings: Settings, recipe: Recipe, tokenizer: Tokenizer
) -> dict[str, Any]:
    """Return what `metadata.json` says of how the model came about."""
    constants: Mapping[str, Any] = TOKENIZER_CONSTANTS | FIT_CONSTANTS | dict(recipe.CONSTANTS)
    return {
        "task": data.objective.task.describe(),
        "recipe": settings.recipe,
        "settings": dataclasses.asdict(settings),
        "constants": constants,
        "weight_tables": list(recipe.WEIGHT_TABLES),
        "max_length": settings.max_length,
        "pad_id": PAD_ID,
        "unknown_id": UNKNOWN_ID,
        "vocab_size": tokenizer.get_vocab_size(),
        "columns": dataclasses.asdict(data.columns),
        "data": data.describe(),
        "versions": {name: version(name) for name in LIBRARIES}
        | {"python": platform.python_version()},
    }
