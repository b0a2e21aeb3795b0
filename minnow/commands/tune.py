"""`minnow tune`: labelled texts in, the best model for them and for a budget out."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from minnow.commands.export import read_size
from minnow.commands.train import (
    ClassWeight,
    TaskKind,
    Test,
    Unlabelled,
    WordVectorsFile,
)
from minnow.number_options import Coverage, Loss, NoClip
from minnow.options import (
    Data,
    Delimiter,
    Encoding,
    GroupColumn,
    JoinSurplus,
    LabelColumn,
    LabelColumns,
    LabelSeparator,
    NormalizeLabels,
    Quoting,
    TextColumn,
    WeightColumn,
    flag,
    option,
)
from minnow.sources import gather_sources

if TYPE_CHECKING:
    from minnow.tune.report import Outcome

PANEL = "Model"
EXAMPLES = (
    "minnow tune reviews.csv --minutes 20 --out tuned/reviews",
    "minnow tune reviews.csv --minutes 20 --max-size 500kB --out tuned/small",
    "minnow tune a.tsv --test b.tsv --metric macro_f1 --minutes 60 --out tuned/a",
)
REQUIRED = ("onnxruntime", "tensorflow", "keras", "scipy", "sklearn", "matplotlib", "tqdm", "onnx")
MOST_JOBS = 4  # at once, by default: each holds TensorFlow and the rows
LONGEST = 60 * 24 * 30  # minutes
METRIC = (
    "What is compared: accuracy, macro_f1, log_loss; of several labels micro_f1, of numbers mae, "
    "rmse, spearman; a wrong one names those of the task."
)


def read_minutes(minutes: float) -> float:
    """Return a time that a search can have."""
    if not 0 < minutes <= LONGEST:
        raise typer.BadParameter(f"{minutes:g}: wanted minutes, more than 0, {LONGEST} at most")
    return minutes


def read_latency(latency_ms: float | None) -> float | None:
    """Return a time that an answer can take."""
    if latency_ms is not None and not 0 < latency_ms < float("inf"):
        raise typer.BadParameter(f"{latency_ms:g}: wanted milliseconds, more than 0")
    return latency_ms


Out = Annotated[Path, option("--out", "FOLDER", "Folder to write: run, bundle, tune.md and plot.")]
Minutes = Annotated[
    float,
    option(
        "--minutes",
        "N",
        "How long it may take: imports, trials, the last fit and its measurement.",
        callback=read_minutes,
    ),
]
MaxSize = Annotated[
    int | None,
    option(
        "--max-size",
        "SIZE",
        "Most bytes of the int8 bundle's model and tokenizer, such as 1MB or 350kB.",
        "any",
        parser=read_size,
    ),
]
MaxLatency = Annotated[
    float | None,
    option(
        "--max-latency-ms",
        "MS",
        "Longest median time of one text here.",
        "any",
        callback=read_latency,
    ),
]
Metric = Annotated[str | None, option("--metric", "NAME", METRIC, "the task's score")]
Jobs = Annotated[
    int | None, option("--jobs", "N", "Trials at once.", f"cores, {MOST_JOBS} at most", min=1)
]
MaxTrials = Annotated[
    int | None,
    option("--max-trials", "N", "Most trials, if the time does not end before.", "any", min=1),
]
Seed = Annotated[
    int, option("--seed", "N", "Seed of folds, weights and order.", min=0, max=2**31 - 1)
]
Force = Annotated[bool, flag("--force", "Replace the search in FOLDER, or start it anew.")]
Quiet = Annotated[bool, flag("--quiet", "Tell nothing on the way.")]


def tune(
    context: typer.Context,
    data: Data,
    out: Out,
    minutes: Minutes,
    max_size: MaxSize = None,
    max_latency_ms: MaxLatency = None,
    metric: Metric = None,
    test: Test = None,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    label_columns: LabelColumns = None,
    label_separator: LabelSeparator = None,
    group_column: GroupColumn = None,
    weight_column: WeightColumn = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    quoting: Quoting = None,
    join_surplus: JoinSurplus = False,
    normalize_labels: NormalizeLabels = False,
    word_vectors: WordVectorsFile = None,
    unlabelled: Unlabelled = None,
    task: TaskKind = None,
    class_weight: ClassWeight = None,
    loss: Loss = None,
    coverage: Coverage = None,
    no_clip: NoClip = False,
    jobs: Jobs = None,
    max_trials: MaxTrials = None,
    seed: Seed = 0,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Find the model that is best for your rows, in a given time and within a budget.

    Recipes, encoders, sizes and regularisation are tried, each as a bundle that is measured on rows
    that it did not learn from; the best one is fitted to all rows, and measured on rows that no
    choice saw: those of --test, or a fifth of DATA. The default recipe is always the first, and
    stays the choice unless another is expected to gain, and not by luck alone.

    A search that was stopped goes on when the same command runs again, also with more --minutes.
    """
    started = time.monotonic()
    from minnow.extras import require

    require(*REQUIRED, "tf2onnx")
    from handler.hosts.cores import count_cores
    from minnow.tune.search import Wanted
    from minnow.tune.tune import tune_data
    from training.progress import quiet as hush

    sources = gather_sources(context, data, None, test, word_vectors, unlabelled)
    at_once = jobs or min(MOST_JOBS, count_cores())
    wanted = Wanted(minutes, metric, (max_size, max_latency_ms), at_once, max_trials, seed)
    with hush(quiet):
        outcome = tune_data(sources, out, wanted, force, started)
    say_done(outcome, out)


def say_done(outcome: Outcome, out: Path) -> None:
    """Print what was chosen and what it is worth; say what comes next."""
    from minnow.tune.report import format_result

    print(f"{outcome.chosen['name']}: {outcome.chosen['why']}\n{format_result(outcome)}")
    print(f"\n{out}: done. The report is in {out / 'tune.md'}", file=sys.stderr)
    print(f"next: {write_next(out, outcome.result)}", file=sys.stderr)


def write_next(out: Path, result: Mapping[str, Any]) -> str:
    """Return the command to go on with: a run that had to be pruned would be over the budget."""
    if result.get("pruned"):
        return shlex.join(["minnow", "serve", str(out / "bundle")])
    bundle = Path("bundles") / out.resolve().name
    return shlex.join(["minnow", "export", str(out / "run"), "--out", str(bundle)])
