"""`minnow evaluate`: a run or a bundle on labelled rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from minnow.options import (
    Data,
    Delimiter,
    Encoding,
    JoinSurplus,
    Json,
    LabelColumns,
    LabelSeparator,
    NormalizeLabels,
    Quoting,
    RememberedLabelColumn,
    RememberedTextColumn,
    WeightColumn,
    split_names,
)

if TYPE_CHECKING:
    from handler.inference.tasks import Task
    from handler.inference.tokenizer import Tokenizer

PANEL = "Model"
EXAMPLES = (
    "minnow evaluate bundles/reviews test.csv",
    "minnow evaluate runs/reviews test.csv --text-column review --json",
)

RunOrBundle = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Folder of the run or of the bundle.")
]


def evaluate(
    model: RunOrBundle,
    data: Data,
    text_column: RememberedTextColumn = None,
    label_column: RememberedLabelColumn = None,
    label_columns: LabelColumns = None,
    label_separator: LabelSeparator = None,
    weight_column: WeightColumn = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    quoting: Quoting = None,
    join_surplus: JoinSurplus = False,
    normalize_labels: NormalizeLabels = False,
    json_output: Json = False,
) -> None:
    """Measure a run or a bundle on labelled texts."""
    from handler.inference.tasks import Selective
    from handler.rows.options import ReadOptions
    from training.figures.selective_figures import format_evaluation, measure_selective
    from training.fitting.encoded import encode_part
    from training.rows.columns import Columns
    from training.rows.data import whole_part
    from training.tasks import make_objective, read_known_labels

    known = read_columns(model)
    columns = Columns(
        text_column or known["text"],
        label_column or known["label"],
        None,
        ReadOptions(delimiter, encoding, quoting, join_surplus),
        normalize_labels or known["normalize_labels"],
        () if label_column else split_names(label_columns) or known["labels"],
        weight_column,
        separator=known["separator"] if label_separator is None else label_separator,
    )
    task, predict_outputs, load_tokenizer = load_model(model)
    objective = make_objective(task)
    dataset = read_known_labels(data, columns, objective)
    outputs = predict_outputs(dataset.texts)
    figures = objective.evaluate(dataset.labels, outputs, dataset.weights)
    if isinstance(task, Selective):
        rows = encode_part(whole_part(dataset), load_tokenizer(), objective)
        figures |= measure_selective(task, objective, outputs, rows)
    print(json.dumps(figures) if json_output else format_evaluation(objective, figures))


def read_columns(folder: Path) -> dict[str, Any]:
    """Return how the columns of the rows are called that a run or a bundle was trained on."""
    from handler.inference.bundle import read_bundle
    from training.run_folder import is_run, read_run

    known = read_run(folder).metadata.get("columns") if is_run(folder) else None
    columns: Any = known or ({} if is_run(folder) else read_bundle(folder).manifest.columns)
    usual = {"text": "text", "label": "label", "normalize_labels": False}
    separator = columns.get("separator")
    names = columns.get("labels")
    is_named = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return (
        usual
        | dict(columns)
        | {"labels": tuple(names) if is_named else ()}
        | {"separator": separator if isinstance(separator, str) else None}
    )


def load_model(folder: Path) -> tuple[Task, Callable[[list[str]], Any], Callable[[], Tokenizer]]:
    """Return the task of a run or of a bundle, a function from texts to its outputs, and one
    that gives its tokenizer."""
    from training.run_folder import is_run, read_run

    if is_run(folder):
        run = read_run(folder)

        def predict_outputs(texts: list[str]) -> Any:
            from minnow.quiet import import_tensorflow

            import_tensorflow()
            from training.train import load_predictor

            return load_predictor(run)(texts)

        return run.task, predict_outputs, run.load_tokenizer
    from handler.inference.classifier import load_classifier
    from handler.settings import read_trust

    classifier = load_classifier(folder, threads=0, trust=read_trust())
    return classifier.task, classifier.predict_outputs, lambda: classifier.tokenizer
