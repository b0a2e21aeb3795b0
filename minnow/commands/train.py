"""`minnow train`: labelled texts in, a run folder out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from minnow.number_options import Coverage, Loss, NoClip
from minnow.options import (
    Data,
    Decide,
    Delimiter,
    Encoding,
    GroupColumn,
    JoinSurplus,
    LabelColumn,
    LabelColumns,
    LabelSeparator,
    MinPrecision,
    MinRecall,
    NormalizeLabels,
    Quoting,
    TextColumn,
    ThresholdLabel,
    WeightColumn,
    flag,
    option,
    read_share,
)
from minnow.selective import AbstainAccuracy, LabelSets, ScopeCoverage
from minnow.sources import gather_sources
from minnow.streaming import Passes, SampleRows, Stream, StreamBatch, Worker, Workers
from training.recipe_settings import DEFAULT_RECIPE, describe_default
from training.settings import ENCODERS

if TYPE_CHECKING:
    from training.rows.data import Sources

PANEL = "Model"
EXAMPLES = (
    "minnow train reviews.csv --out runs/reviews",
    "minnow train reviews.csv --out runs/look --quick",
    "minnow train train.tsv --test test.tsv --label-column stars --out runs/stars",
    "minnow train parquet/ --stream --out runs/all",
)
REQUIRED = ("tensorflow", "keras", "scipy", "sklearn", "matplotlib", "tqdm")
SETTINGS = "In place of the recipe's own settings"
DEV = (
    "Development rows, as DATA has them: they are measured after each epoch, weigh the two halves "
    "of wide_deep and, with --patience, tell when to stop."
)
MIN_STEPS = "Fewest steps: more epochs where they are fewer; --epochs sets it aside."
PATIENCE = (
    "Epochs without a lower development loss that end training, which then keeps the best one; "
    "0: all are trained, and the last is kept."
)
RECIPE = "How the model is built: wide_deep (phrases beside an LSTM) or stacked (LSTMs alone)."


def setting(name: str, metavar: str, help_text: str, **limits: Any) -> Any:
    """Return an option that replaces a setting of the recipe where the user gives it."""
    default = describe_default(name.removeprefix("--").replace("-", "_"))
    return option(name, metavar, help_text, default, rich_help_panel=SETTINGS, **limits)


def complete_recipe() -> list[str]:
    """Return the names of the recipes."""
    from training.recipe import list_recipes

    return list_recipes()


def read_recipe(name: str | None) -> str | None:
    """Return the name of a recipe that there is."""
    if name is not None and name not in (recipes := complete_recipe()):
        raise typer.BadParameter(f"{name!r} is no recipe, wanted {' or '.join(recipes)}")
    return name


def complete_task() -> list[str]:
    """Return the kinds of tasks."""
    from training.tasks import list_kinds

    return list_kinds()


def read_task_kind(kind: str | None) -> str | None:
    """Return a kind of task that there is."""
    if kind is not None and kind not in (kinds := complete_task()):
        raise typer.BadParameter(f"{kind!r} is no task, wanted {' or '.join(kinds)}")
    return kind


def read_units(text: str | None) -> tuple[int, ...] | None:
    """Return the hidden units of each layer: "64,32" -> (64, 32)."""
    if text is None:
        return None
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise typer.BadParameter(f"{text!r}: wanted whole numbers, commas between, such as 64,32")
    return tuple(int(part) for part in parts)


Out = Annotated[Path, option("--out", "RUN", "Folder of the run to write.")]
Dev = Annotated[
    Path | None,
    option("--dev", "FILE", DEV, "a part of DATA"),
]
Test = Annotated[
    Path | None,
    option(
        "--test", "FILE", "Rows for the reported figures, as DATA has them.", "the rows of --dev"
    ),
]
Add = Annotated[
    Path | None,
    option(
        "--add",
        "FILE",
        "Further labelled rows beside those of DATA, such as what minnow feedback writes.",
        "none",
    ),
]
WordVectorsFile = Annotated[
    Path | None,
    option(
        "--word-vectors",
        "FILE",
        "Vectors that others have learned: GloVe, word2vec, .npy, safetensors.",
        "none",
    ),
]
Unlabelled = Annotated[
    Path | None,
    option(
        "--unlabelled",
        "FILE|FOLDER",
        "Your own texts without labels, of which words are learned; as many as you have.",
        "none",
    ),
]
TaskKind = Annotated[
    str | None,
    option(
        "--task",
        "KIND",
        "What is learned.",
        "what the labels look like",
        autocompletion=complete_task,
        callback=read_task_kind,
    ),
]
ClassWeight = Annotated[
    str | None,
    option(
        "--class-weight",
        "balanced|JSON|FILE",
        'What a mistake on a row of each label costs, such as {"spam": 5, "ham": 1}.',
        "all the same",
    ),
]
Recipe = Annotated[
    str | None,
    option(
        "--recipe",
        "NAME",
        RECIPE,
        "wide_deep",
        autocompletion=complete_recipe,
        callback=read_recipe,
    ),
]
Quick = Annotated[bool, flag("--quick", "Take a first look in a few epochs.")]
Quiet = Annotated[bool, flag("--quiet", "Tell neither what was read nor progress.")]
Force = Annotated[bool, flag("--force", "Replace the run in RUN, or start it anew.")]

Seed = Annotated[
    int | None,
    setting("--seed", "N", "Seed of the split, the weights and the order.", min=0, max=2**32 - 1),
]
DevFraction = Annotated[
    float | None,
    setting(
        "--dev-fraction",
        "SHARE",
        "Share of DATA held out as --dev.",
        parser=read_share,
    ),
]
VocabSize = Annotated[
    int | None, setting("--vocab-size", "N", "Most words of the tokenizer.", min=3)
]
MaxLength = Annotated[
    int | None, setting("--max-length", "N", "Tokens of a text that are read.", min=1)
]
EmbeddingDim = Annotated[
    int | None, setting("--embedding-dim", "N", "Width of the word vectors.", min=1)
]
Encoder = Annotated[
    str | None,
    setting(
        "--encoder",
        "NAME",
        f"What reads beside the phrases: {', '.join(ENCODERS)}.",
        autocompletion=lambda: list(ENCODERS),
    ),
]
Units = Annotated[
    str | None,
    setting("--units", "N,N", "Hidden units of each layer of the encoder.", callback=read_units),
]
Heads = Annotated[
    int | None,
    setting(
        "--heads", "N", "Attention heads of each layer of a transformer; divide its units.", min=1
    ),
]
TableBytes = Annotated[
    int | None,
    setting("--table-bytes", "N", "Bytes of the table of phrases, of wide_deep.", min=1),
]
DropoutRate = Annotated[
    float | None,
    setting(
        "--dropout-rate", "SHARE", "Share of activations zeroed in training.", parser=read_share
    ),
]
TokenDropoutRate = Annotated[
    float | None,
    setting(
        "--token-dropout-rate", "SHARE", "Share of tokens zeroed in training.", parser=read_share
    ),
]
LearningRate = Annotated[
    float | None, setting("--learning-rate", "RATE", "Highest learning rate of AdamW.", min=0)
]
WeightDecay = Annotated[
    float | None, setting("--weight-decay", "RATE", "Weight decay of AdamW.", min=0)
]
BatchSize = Annotated[int | None, setting("--batch-size", "N", "Texts in one step.", min=1)]
Epochs = Annotated[int | None, setting("--epochs", "N", "Passes over the training rows.", min=1)]
MinSteps = Annotated[
    int | None,
    setting("--min-steps", "N", MIN_STEPS, min=0),
]
Patience = Annotated[
    int | None,
    setting("--patience", "N", PATIENCE, min=0),
]
EarlyExit = Annotated[
    bool | None,
    typer.Option(
        "--early-exit/--no-early-exit",
        help="Whether texts whose phrases are certain skip the LSTM.",
        show_default="the recipe's",
        rich_help_panel=SETTINGS,
    ),
]


def train(
    context: typer.Context,
    data: Data,
    out: Out,
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
    dev: Dev = None,
    test: Test = None,
    add: Add = None,
    word_vectors: WordVectorsFile = None,
    unlabelled: Unlabelled = None,
    task: TaskKind = None,
    class_weight: ClassWeight = None,
    threshold_label: ThresholdLabel = None,
    min_precision: MinPrecision = None,
    min_recall: MinRecall = None,
    decide: Decide = None,
    loss: Loss = None,
    coverage: Coverage = None,
    no_clip: NoClip = False,
    abstain_accuracy: AbstainAccuracy = None,
    scope_coverage: ScopeCoverage = None,
    label_sets: LabelSets = False,
    recipe: Recipe = None,
    quick: Quick = False,
    force: Force = False,
    quiet: Quiet = False,
    seed: Seed = None,
    dev_fraction: DevFraction = None,
    vocab_size: VocabSize = None,
    max_length: MaxLength = None,
    embedding_dim: EmbeddingDim = None,
    encoder: Encoder = None,
    units: Units = None,
    heads: Heads = None,
    table_bytes: TableBytes = None,
    dropout_rate: DropoutRate = None,
    token_dropout_rate: TokenDropoutRate = None,
    learning_rate: LearningRate = None,
    weight_decay: WeightDecay = None,
    batch_size: BatchSize = None,
    epochs: Epochs = None,
    min_steps: MinSteps = None,
    patience: Patience = None,
    early_exit: EarlyExit = None,
    stream: Stream = False,
    sample_rows: SampleRows = 100_000,
    passes: Passes = 1.0,
    stream_batch: StreamBatch = 1024,
    workers: Workers = None,
    worker: Worker = None,
) -> None:
    """Train a classifier on labelled texts.

    Training that was stopped goes on when the same command runs again.
    """
    from minnow.extras import require
    from minnow.streaming import check_not_streamed, fit_streamed
    from training.progress import quiet as hush

    sources = gather_sources(context, data, dev, test, word_vectors, unlabelled, add)
    with hush(quiet):
        if stream:
            require(*REQUIRED, "pyarrow")
            fit_streamed(sources, out, read_given(context), context.obj, context.params)
            return
        check_not_streamed(context.params)
        fit_sources(sources, out, recipe, quick, force, read_given(context), context.obj)


def read_given(context: typer.Context) -> dict[str, Any]:
    """Return setting -> value, of those that the user gave."""
    options: list[Any] = context.command.params
    values = {o.name: context.params[o.name] for o in options if o.rich_help_panel == SETTINGS}
    return {name: value for name, value in values.items() if value is not None}


def fit_sources(
    sources: Sources,
    out: Path,
    recipe: str | None,
    quick: bool,
    force: bool,
    given: dict[str, Any],
    typed: str,
) -> None:
    """Check what was given before TensorFlow is imported, then train and print the figures.

    Args:
        given: Setting -> value, in place of the recipe's own.
        typed: The command as it was typed, which the run keeps.
    """
    from minnow.extras import require

    require(*REQUIRED)
    from handler.files import holding
    from training.progress import step
    from training.recipe import load_recipe
    from training.rows.data import read_sources
    from training.run_folder import check_free, name_partial
    from training.settings import check_given, override

    check_given(given)
    check_free(out, force, sources.paths)
    with holding(name_partial(out), out):
        with step("reading"):
            rows = read_sources(sources)

        from minnow.quiet import import_tensorflow

        import_tensorflow()
        from minnow.after_training import say_done
        from training.figures.selective_figures import format_evaluation
        from training.train import train_run

        module = load_recipe(recipe or DEFAULT_RECIPE)
        settings = override(module.QUICK if quick else module.SETTINGS, given)
        run = train_run(sources, out, settings, force, typed, rows, is_held=True)
    metrics = run.metadata["metrics"]
    print(format_evaluation(rows.objective, metrics.get("test", metrics["dev"])))
    if settled := rows.objective.describe_settled(run.metadata["settled"]):
        print(f"\n{settled}")
    say_done(run, rows.objective, (sources.test or sources.dev or sources.train).name, given)
