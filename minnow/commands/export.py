"""`minnow export`: a run folder in, a verified bundle out."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from minnow.options import (
    Decide,
    Json,
    MinPrecision,
    MinRecall,
    ThresholdLabel,
    flag,
    option,
    read_aims,
    read_share,
)
from minnow.selective import AbstainAccuracy, LabelSets, ScopeCoverage

if TYPE_CHECKING:
    from handler.inference.classifier import Classifier
    from handler.inference.manifest import Card
    from training.tasks import Objective

    Evaluate = Callable[[Classifier], dict[str, Any]]

PANEL = "Model"
EXAMPLES = (
    "minnow export runs/reviews --out bundles/reviews",
    "minnow export runs/reviews --out bundles/reviews --test test.csv --force",
    "minnow export runs/reviews --out bundles/small --max-size 350kB --max-drop 1",
)
BUDGET = "With --max-size: search for a bundle within a budget"
UNITS = {"mb": 1e6, "kb": 1e3, "b": 1}


def read_size(text: str) -> int:
    """Return bytes: "350kB" -> 350000, "1.5MB" -> 1500000."""
    number = text.lower().rstrip("mkb")
    factor = UNITS.get(text.lower().removeprefix(number), 0)
    try:
        size_bytes = round(float(number) * factor)
    except (ValueError, OverflowError):
        size_bytes = 0
    if size_bytes <= 0:
        raise typer.BadParameter(f"{text!r} is no size, wanted one such as 1MB or 350kB")
    return size_bytes


def budget(name: str, metavar: str, help_text: str, default: str | bool = True, **more: Any) -> Any:
    """Return an option of the search."""
    return option(name, metavar, help_text, default, rich_help_panel=BUDGET, **more)


def read_version(text: str) -> str:
    """Return a version that is not empty."""
    if not text:
        raise typer.BadParameter("it is empty, wanted a version such as 1")
    return text


def check_budget(context: typer.Context) -> None:
    """Refuse options of the search where nothing is searched."""
    options: list[Any] = context.command.params
    for parameter in options:
        source = context.get_parameter_source(parameter.name)
        if parameter.rich_help_panel == BUDGET and source is not None and source.name != "DEFAULT":
            raise typer.BadParameter("it has no effect without --max-size SIZE", context, parameter)


RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder of the run, as `minnow train` wrote it.")
]
Out = Annotated[Path, option("--out", "BUNDLE", "Folder of the bundle to write.")]
Precision = Annotated[
    Literal["int8", "float32"],
    typer.Option("--precision", help="Precision of the weights; a GPU needs float32."),
]
FullRange = Annotated[
    bool,
    flag("--full-range", "Use 8 bits of int8 weights, not 7: only for processors with VNNI."),
]
Name = Annotated[
    str,
    option("--name", "NAME", "Name of the model in every answer.", "the name of RUN's folder"),
]
ModelVersion = Annotated[
    str,
    option(
        "--model-version", "TEXT", "Version of the model in every answer.", callback=read_version
    ),
]
CardFile = Annotated[
    Path | None,
    option(
        "--card",
        "FILE",
        "JSON file for people: summary, data, terms, intended use, known failures.",
        "none",
    ),
]
EmbeddingBits = Annotated[
    Literal[4, 8] | None,
    typer.Option(
        "--embedding-bits",
        help="Bits of int8 word vectors.",
        show_default="4, or 8 where 4 are too far from Keras",
    ),
]
Sparsity = Annotated[
    float,
    option(
        "--sparsity",
        "SHARE",
        "Share of int8 weights set to zero: a smaller zip, no more speed.",
        parser=read_share,
    ),
]
Test = Annotated[
    Path | None, option("--test", "FILE", "Rows to measure the bundle on.", "no measurement")
]
Force = Annotated[bool, flag("--force", "Replace the bundle in BUNDLE.")]
MaxSize = Annotated[
    int | None,
    budget(
        "--max-size",
        "SIZE",
        "Most bytes of model and tokenizer, such as 1MB or 350kB.",
        "no search",
        parser=read_size,
    ),
]
MaxDrop = Annotated[
    float, budget("--max-drop", "POINTS", "Most points of development accuracy lost.")
]
MaxLatency = Annotated[
    float | None,
    budget("--max-latency-ms", "MS", "Longest median time of one text here.", "any", min=0),
]
MinSpeedup = Annotated[
    float | None,
    budget("--min-speedup", "TIMES", "Least speed, in times of the unpruned float32 graph.", "any"),
]
MaxTrials = Annotated[
    int, budget("--max-trials", "N", "Most pruned models that are fine-tuned.", min=1)
]
FineTuneEpochs = Annotated[
    int,
    budget("--fine-tune-epochs", "N", "Passes over the rows for each pruned model.", min=1),
]
BestEffort = Annotated[
    bool,
    flag(
        "--best-effort",
        "Write the nearest bundle where none keeps the budget.",
        rich_help_panel=BUDGET,
    ),
]


def export(
    context: typer.Context,
    run: RunFolder,
    out: Out,
    precision: Precision = "int8",
    full_range: FullRange = False,
    name: Name = "",
    model_version: ModelVersion = "1",
    card: CardFile = None,
    embedding_bits: EmbeddingBits = None,
    sparsity: Sparsity = 0.0,
    test: Test = None,
    threshold_label: ThresholdLabel = None,
    min_precision: MinPrecision = None,
    min_recall: MinRecall = None,
    decide: Decide = None,
    force: Force = False,
    abstain_accuracy: AbstainAccuracy = None,
    scope_coverage: ScopeCoverage = None,
    label_sets: LabelSets = False,
    max_size: MaxSize = None,
    max_drop: MaxDrop = 0.3,
    max_latency_ms: MaxLatency = None,
    min_speedup: MinSpeedup = None,
    max_trials: MaxTrials = 6,
    fine_tune_epochs: FineTuneEpochs = 2,
    best_effort: BestEffort = False,
    json_output: Json = False,
) -> None:
    """Turn a run into a bundle, verified against Keras.

    A bundle that does not compute what Keras computed is not written. With --max-size, pruned and
    fine-tuned models are tried until one keeps the budget.
    """
    from minnow.extras import require

    if max_size is None:
        check_budget(context)
    require("tensorflow", "keras", "onnxruntime", "tf2onnx", "onnx")
    from export.bundle_writer import check_free, name_partial
    from handler.files import holding

    aims = read_aims(context)
    check_free(out, force, [path for path in (run, card, test) if path is not None])
    with holding(name_partial(out), out), TemporaryDirectory() as decided:
        objective, about, evaluate = check_inputs(run, card, test, aims)
        from minnow.quiet import import_tensorflow

        import_tensorflow()
        from export.compress.points import Budget
        from export.compress.search import compress_run
        from export.export import ExportSettings, export_run
        from handler.inference.bundle import read_bundle

        if aims:
            from export.decide import decide_run

            name = name or run.resolve().name
            if settled := decide_run(run, aims, Path(decided)):
                print(settled, file=sys.stderr)
            run = Path(decided)
        settings = ExportSettings(
            precision, not full_range, name, model_version, embedding_bits, sparsity, about
        )
        same: dict[str, Any] = {
            "settings": settings,
            "force": force,
            "evaluate": evaluate,
            "is_held": True,
        }
        if max_size is None:
            metrics = export_run(run, out, **same)
        else:
            keep = Budget(max_size, max_drop, max_latency_ms, max_trials, min_speedup)
            search: dict[str, Any] = {
                "fine_tune_epochs": fine_tune_epochs,
                "best_effort": best_effort,
            }
            metrics = compress_run(run, out, keep, **search, **same)
        sha256 = read_bundle(out).sha256
    if json_output:
        print(json.dumps({**metrics, "bundle_sha256": sha256}))
    else:
        print(format_metrics(metrics, out, test, objective))
        print(f"{'sha256 of manifest.json':36} {sha256}")
    command = shlex.join(["minnow", "serve", str(out)])
    print(f"next: {command}", file=sys.stderr)


def check_inputs(
    run: Path, card: Path | None, test: Path | None, aims: dict[str, Any]
) -> tuple[Objective, Card, Evaluate | None]:
    """Check what can be checked without TensorFlow; return what was read, and what measures the
    bundle on `test`."""
    from export.bundle_writer import read_card
    from handler.inference.manifest import Card
    from handler.inference.tasks import Selective
    from training.answers.decisions import renew_aims
    from training.figures.selective_figures import measure_selective
    from training.fitting.encoded import encode_part
    from training.rows.columns import Columns
    from training.rows.data import whole_part
    from training.run_folder import read_run
    from training.tasks import make_objective, read_known_labels

    found = read_run(run)
    about = read_card(card) if card is not None else Card()
    objective = make_objective(found.task)
    if aims:
        objective = renew_aims(objective.task, found.metadata["aims"], aims)
    if test is None:
        return objective, about, None
    known = Columns.from_json(found.metadata["columns"])
    columns = Columns(
        known.text,
        known.label,
        normalize_labels=known.normalize_labels,
        labels=known.labels,
        separator=known.separator,
    )
    dataset = read_known_labels(test, columns, objective)

    def evaluate(classifier: Classifier) -> dict[str, Any]:
        outputs = classifier.predict_outputs(dataset.texts)
        own = make_objective(classifier.task)  # its thresholds are its own
        figures = own.evaluate(dataset.labels, outputs)
        if isinstance(classifier.task, Selective):
            rows = encode_part(whole_part(dataset), classifier.tokenizer, own)
            figures |= measure_selective(classifier.task, own, outputs, rows)
        return own.headline(figures)

    return objective, about, evaluate


def format_metrics(
    metrics: dict[str, Any], out: Path, test: Path | None, objective: Objective
) -> str:
    """Return how far the bundle in `out` is from Keras, how good it is, and its files' sizes."""
    reference, score_name = metrics["reference"], objective.score_name
    # Numbers have a unit of their own, and its digits; of probabilities four decimals are enough.
    gap = f"{reference['max_gap']:.{'4f' if objective.task.output_scale == 1 else '3g'}}"
    lines = [
        f"{out}: verified against Keras on the reference rows",
        f"{'largest difference of an output':36} {gap}",
        f"{'answers changed':36} {reference['answers_changed']:.2%}",
    ]
    if test is not None:
        lines.append(f"{f'{score_name} on {test.name}':36} {metrics['bundle'][score_name]:.4f}")
    for file in sorted(out.iterdir()):
        lines.append(f"{file.name:36} {file.stat().st_size / 1e6:.3f} MB")
    return "\n".join(lines)
