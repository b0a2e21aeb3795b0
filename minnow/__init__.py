"""The command line: parses arguments and calls a room, which it imports only then."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

DEFAULT_BUNDLE = Path(__file__).parent.parent / "handler" / "model"

DATA_HELP = "CSV, TSV, JSON Lines or Parquet (also .gz, .zst), or a folder with one a label"
RECIPES = ("wide_deep", "seed")  # modules of `training/recipes`, the default first
# Flags named for the fields of `training.settings.Settings`.
TRAINING_FLAGS = {
    "--seed": int,
    "--dev-fraction": float,
    "--vocab-size": int,
    "--max-length": int,
    "--embedding-dim": int,
    "--dropout-rate": float,
    "--token-dropout-rate": float,
    "--learning-rate": float,
    "--weight-decay": float,
    "--batch-size": int,
    "--epochs": int,
    "--min-steps": int,
    "--patience": int,
}

BITS_HELP = "of int8 word vectors; 4, or 8 where 4 are too far from Keras"

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0 done, 1 the work failed, 2 wrong usage."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = build_parser().parse_args(arguments)
    options.typed = shlex.join(["minnow", *arguments])
    command: Command = options.command
    try:
        return command(options)
    except KeyboardInterrupt:
        print("minnow: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 1
    except Exception as error:
        if not is_expected(error):
            raise
        print(f"minnow: {error}", file=sys.stderr)
        return 1


def is_expected(error: Exception) -> bool:
    """Say whether `error` was raised on purpose, with a message meant for the user.

    A room's named errors are told by the module that defines them, so that no room is imported
    to find out; an OSError (no such file, no space left) speaks for itself.
    """
    rooms = ("handler.errors", "training.errors", "export.errors")
    return isinstance(error, OSError) or any(
        kind.__module__ in rooms for kind in type(error).__mro__
    )


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="minnow", description=__doc__.splitlines()[0])
    version = f"minnow {metadata.version('minnow-maas')}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands)
    _add_evaluate(commands)
    _add_export(commands)
    _add_inspect(commands)
    _add_data(commands)
    _add_predict(commands)
    _add_serve(commands)
    _add_key(commands)
    _add_invoke(commands)
    _add_score(commands)
    _add_poll(commands)
    _add_cost(commands)
    return parser


def _add_command(
    commands: Any, name: str, command: Command, summary: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.set_defaults(command=command)
    return parser


def _add_train(commands: Any) -> None:
    parser = _add_command(commands, "train", train, "train on labelled texts, write a run folder")
    parser.add_argument("data", type=Path, metavar="DATA", help=DATA_HELP)
    parser.add_argument("--out", type=Path, required=True, metavar="RUN")
    _add_column_flags(parser)
    parser.add_argument("--group-column", help="rows of one group stay on one side of the split")
    parser.add_argument("--dev", type=Path, metavar="FILE", help="default: a part of DATA")
    parser.add_argument("--test", type=Path, metavar="FILE", help="rows for the reported figures")
    parser.add_argument("--recipe", choices=RECIPES, default=RECIPES[0])
    parser.add_argument("--quick", action="store_true", help="a first look in a few epochs")
    parser.add_argument("--force", action="store_true", help="replace RUN, or start it anew")
    recipe = parser.add_argument_group("instead of the recipe's own settings")
    for flag, kind in TRAINING_FLAGS.items():
        recipe.add_argument(flag, type=kind, default=argparse.SUPPRESS, metavar="N")
    recipe.add_argument(
        "--units",
        type=lambda text: tuple(int(part) for part in text.split(",")),
        default=argparse.SUPPRESS,
        metavar="N,N",
        help="hidden units of each LSTM layer",
    )


def train(options: argparse.Namespace) -> int:
    import dataclasses
    import importlib

    _quieten_tensorflow()
    from training.metrics import format_evaluation
    from training.readers import Columns
    from training.train import Sources, train_run

    recipe = importlib.import_module(f"training.recipes.{options.recipe}")
    settings = recipe.QUICK if options.quick else recipe.SETTINGS
    names = {field.name for field in dataclasses.fields(settings)} - {"recipe"}
    given = {name: value for name, value in vars(options).items() if name in names}
    columns = Columns(options.text_column, options.label_column, options.group_column)
    sources = Sources(options.data, options.dev, options.test, columns)
    settings = dataclasses.replace(settings, **given)
    run = train_run(sources, options.out, settings, options.force, options.typed)
    metrics = run.metadata["metrics"]
    print(format_evaluation(metrics.get("test", metrics["dev"])))
    print(f"\n{run.folder}: done. The report is in {run.folder / 'report.md'}", file=sys.stderr)
    return 0


def _add_column_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--text-column", default="text")
    parser.add_argument("--label-column", default="label")


def _add_evaluate(commands: Any) -> None:
    parser = _add_command(commands, "evaluate", evaluate, "measure a run or a bundle on data")
    parser.add_argument("model", type=Path, metavar="RUN|BUNDLE")
    parser.add_argument("data", type=Path, metavar="DATA", help=DATA_HELP)
    _add_column_flags(parser)
    parser.add_argument("--json", action="store_true", help="print one object")


def evaluate(options: argparse.Namespace) -> int:
    from training.metrics import evaluate as measure
    from training.metrics import format_evaluation
    from training.readers import Columns, read_dataset

    dataset = read_dataset(options.data, Columns(options.text_column, options.label_column))
    labels, predict_probabilities = load_model(options.model)
    figures = measure(dataset.labels, predict_probabilities(dataset.texts), labels)
    print(json.dumps(figures) if options.json else format_evaluation(figures))
    return 0


def load_model(folder: Path) -> tuple[Sequence[str], Callable[[list[str]], Any]]:
    """Return labels and a function from texts to probabilities, of a run or of a bundle."""
    from training.run_folder import is_run, read_run

    if is_run(folder):
        _quieten_tensorflow()
        from training.train import load_predictor

        run = read_run(folder)
        return run.labels, load_predictor(run)
    from handler.inference.classifier import load_classifier

    classifier = load_classifier(folder, threads=0)
    return classifier.manifest.labels, classifier.predict_probabilities


def _add_export(commands: Any) -> None:
    parser = _add_command(commands, "export", export, "turn a run into a verified ONNX bundle")
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--out", type=Path, required=True, metavar="BUNDLE")
    parser.add_argument("--precision", choices=("int8", "float32"), default="int8")
    parser.add_argument(
        "--full-range",
        action="store_true",
        help="8-bit instead of 7-bit weights: only for CPUs with VNNI",
    )
    parser.add_argument("--name", default="", help="in every answer (default: RUN's name)")
    parser.add_argument("--model-version", default="1", help="in every answer")
    parser.add_argument("--card", type=Path, metavar="FILE", help="JSON: summary, data, terms, …")
    parser.add_argument("--embedding-bits", type=int, choices=(4, 8), help=BITS_HELP)
    parser.add_argument(
        "--sparsity",
        type=_share,
        default=0.0,
        help="share of int8 weights set to zero: a smaller zip, no more speed",
    )
    parser.add_argument("--test", type=Path, metavar="FILE", help="rows to measure the bundle on")
    parser.add_argument("--force", action="store_true", help="replace BUNDLE")
    budget = parser.add_argument_group(
        "search for a bundle that keeps a budget, by pruning and fine-tuning"
    )
    budget.add_argument("--max-size", type=_size, metavar="1MB", help="model and tokenizer")
    budget.add_argument(
        "--max-drop", type=float, default=0.3, metavar="POINTS", help="of development accuracy"
    )
    budget.add_argument("--max-latency-ms", type=float, help="p50 of one text on this machine")
    budget.add_argument(
        "--min-speedup", type=float, metavar="TIMES", help="over the unpruned float32 graph"
    )
    budget.add_argument("--max-trials", type=int, default=6, metavar="N", help="pruned models")
    budget.add_argument("--fine-tune-epochs", type=int, default=2, help="of each pruned model")
    budget.add_argument(
        "--best-effort", action="store_true", help="write the nearest if none keeps the budget"
    )
    parser.add_argument("--json", action="store_true", help="print one object")


def export(options: argparse.Namespace) -> int:
    _quieten_tensorflow()
    from export.export import ExportSettings, export_run, read_card

    settings = ExportSettings(
        options.precision,
        not options.full_range,
        options.name,
        options.model_version,
        options.embedding_bits,
        options.sparsity,
        **({"card": read_card(options.card)} if options.card else {}),
    )
    measure = _bundle_measure(options.run, options.test) if options.test else None
    if options.max_size is not None:
        metrics = _search_bundle(options, settings, measure)
    else:
        metrics = export_run(options.run, options.out, settings, options.force, measure)
    if options.json:
        print(json.dumps(metrics))
        return 0
    reference = metrics["reference"]
    print(f"{options.out}: verified against Keras on the reference rows")
    print(f"largest difference of a probability  {reference['max_gap']:.4f}")
    print(f"labels changed                       {reference['labels_changed']:.2%}")
    if "bundle" in metrics:
        print(f"accuracy on {options.test.name:24} {metrics['bundle']['accuracy']:.4f}")
    for file in sorted(options.out.iterdir()):
        print(f"{file.name:36} {file.stat().st_size / 1e6:.3f} MB")
    return 0


def _search_bundle(options: argparse.Namespace, settings: Any, measure: Any) -> dict[str, Any]:
    """Search under the budget, write the report and the bundle; return the bundle's metrics."""
    import keras

    from export.compress.distill import (
        check_teacher,
        count_texts,
        fine_tune,
        fine_tune_settings,
        importance_batches,
        load_recipe,
        load_rows,
        map_ids,
        teach,
    )
    from export.compress.points import Budget, format_point
    from export.compress.report import write_report
    from export.compress.search import Words, Workshop, export_point, search
    from export.errors import ExportError
    from training.run_folder import read_run

    run = read_run(options.run)
    rows = load_rows(run)
    check_teacher(run, rows.dev_labels)
    tuning = fine_tune_settings(run, options.fine_tune_epochs)
    recipe = load_recipe(tuning)

    def load_whole() -> Any:
        return keras.saving.load_model(run.model_path, compile=False)

    def tune(model: Any, id_map: Any, checkpoint: Path) -> None:
        teacher = recipe.make_teacher(load_whole())
        cache = checkpoint.parent.parent / "teacher.npz"
        fine_tune(model, teach(teacher, rows, cache), rows, id_map, tuning, checkpoint)

    budget = Budget(
        options.max_size,
        options.max_drop,
        options.max_latency_ms,
        options.max_trials,
        options.min_speedup,
    )
    words = None
    if hasattr(recipe, "shrink_vocabulary"):
        words = Words(
            count_texts(rows, run.metadata["vocab_size"]),
            lambda num_words: recipe.count_rows(whole, num_words),
            lambda kept_ids, id_map, path: recipe.shrink_vocabulary(
                whole, kept_ids, map_ids(rows.train, id_map), tuning, path
            ),
        )
        whole = load_whole()
    workshop = Workshop(
        rows.dev_texts, rows.dev.label_ids, lambda: importance_batches(rows), tune, words
    )
    result = search(options.run, options.out, budget, workshop, settings, options.force)
    write_report(result, budget)
    if not result.is_met and not options.best_effort:
        raise ExportError(
            f"none of {len(result.points)} bundles keeps the budget; the nearest is "
            f"{format_point(result.chosen)}. No bundle was written: see "
            f"{result.folder / 'compression.md'}, or take it with --best-effort."
        )
    metrics = export_point(result, options.run, options.out, settings, options.force, measure)
    print(f"{format_point(result.chosen)}\n{result.folder / 'compression.md'}", file=sys.stderr)
    return metrics


def _size(text: str) -> int:
    """Return bytes: "350kB" -> 350000, "1.5MB" -> 1500000."""
    for unit, factor in (("mb", 1e6), ("kb", 1e3), ("b", 1)):
        number = text.lower().removesuffix(unit)
        if number != text.lower():
            try:
                size_bytes = round(float(number) * factor)
            except ValueError:
                break
            if size_bytes > 0:
                return size_bytes
    raise argparse.ArgumentTypeError(f"{text!r} is no size, wanted one such as 1MB or 350kB")


def _bundle_measure(run: Path, test: Path) -> Callable[[Any], dict[str, Any]]:
    """Return a function that measures a finished classifier on the rows of `test`."""
    from training.metrics import evaluate as measure
    from training.metrics import headline
    from training.readers import Columns, read_dataset
    from training.run_folder import read_run

    columns = read_run(run).metadata["columns"]
    dataset = read_dataset(test, Columns(columns["text"], columns["label"]))

    def measure_bundle(classifier: Any) -> dict[str, Any]:
        probabilities = classifier.predict_probabilities(dataset.texts)
        return headline(measure(dataset.labels, probabilities, classifier.manifest.labels))

    return measure_bundle


def _add_inspect(commands: Any) -> None:
    parser = _add_command(commands, "inspect", inspect, "show where bytes and milliseconds are")
    parser.add_argument("bundle", nargs="?", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument("--json", action="store_true", help="print one object")


def inspect(options: argparse.Namespace) -> int:
    from export.inspection import format_inspection, inspect_bundle
    from handler.inference.bundle import read_bundle

    found = inspect_bundle(read_bundle(options.bundle))
    print(json.dumps(found, ensure_ascii=False) if options.json else format_inspection(found))
    return 0


def _add_data(commands: Any) -> None:
    parser = _add_command(commands, "data", data, "fetch or make a data set")
    parser.add_argument("name", choices=("imdb", "synthetic"))
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--rows", type=int, default=4000, help="of synthetic")
    parser.add_argument("--seed", type=int, default=0, help="of synthetic")


def data(options: argparse.Namespace) -> int:
    if options.name == "imdb":
        from training.imdb import download_imdb

        paths = download_imdb(options.out)
    else:
        from training.synthetic import write_synthetic_reviews

        paths = [options.out / "synthetic_reviews.csv"]
        write_synthetic_reviews(paths[0], options.rows, options.seed)
    print(*paths, sep="\n")
    return 0


def _quieten_tensorflow() -> None:
    import os

    # Its start-up notes about CUDA and CPU features, which stand above every answer otherwise.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _add_predict(commands: Any) -> None:
    parser = _add_command(commands, "predict", predict, "classify texts, or the lines of stdin")
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="none: one text a line from stdin")
    _add_bundle_flag(parser)
    parser.add_argument("--json", action="store_true", help="print one object, as POST /predict")


def predict(options: argparse.Namespace) -> int:
    from handler.inference.classifier import load_classifier
    from handler.inference.requests import answer_request
    from handler.settings import Limits

    bundle, texts = split_bundle(options)
    texts = texts or [line.rstrip("\n") for line in sys.stdin]
    unlimited = Limits(max_texts=sys.maxsize, max_characters=sys.maxsize)
    answer = answer_request(load_classifier(bundle), {"texts": texts}, unlimited)
    if options.json:
        print(json.dumps(answer, ensure_ascii=False))
        return 0
    for prediction in answer["predictions"]:
        notes = [
            "no known words" if prediction["known_tokens"] == 0 else "",
            "truncated" if prediction["truncated"] else "",
        ]
        note = "  (" + ", ".join(filter(None, notes)) + ")" if any(notes) else ""
        print(f"{prediction['label']}\t{prediction['score']:.4f}{note}")
    return 0


def split_bundle(options: argparse.Namespace) -> tuple[Path, list[str]]:
    """Return the bundle and the texts: a first TEXT that is a bundle's folder is the bundle."""
    texts = list(options.texts)
    if options.bundle is None and texts and (Path(texts[0]) / "manifest.json").is_file():
        return Path(texts[0]), texts[1:]
    return options.bundle or DEFAULT_BUNDLE, texts


def _add_bundle_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", type=Path, help="bundle folder (default: the shipped one)")


def _add_serve(commands: Any) -> None:
    parser = _add_command(commands, "serve", serve, "answer HTTP requests under uvicorn")
    parser.add_argument("bundle", nargs="?", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")


def serve(options: argparse.Namespace) -> int:
    import dataclasses

    from handler.hosts.server import serve as run_server
    from handler.settings import read_settings

    settings = dataclasses.replace(read_settings(), bundle=options.bundle)
    run_server(settings, options.host, options.port, options.device)
    return 0


def _add_key(commands: Any) -> None:
    parser = _add_command(commands, "key", key, "make an API key and the setting that lets it in")
    parser.add_argument("name", nargs="?", default="client", help="stands in the log")
    parser.add_argument("--json", action="store_true", help="print one object")


def key(options: argparse.Namespace) -> int:
    import hashlib
    import secrets

    secret = secrets.token_urlsafe(32)
    setting = f"{options.name}:{hashlib.sha256(secret.encode()).hexdigest()}"
    if options.json:
        print(json.dumps({"key": secret, "setting": setting}))
    else:
        print(f"the client's key, shown only now: {secret}\nMINNOW_API_KEYS={setting}")
    return 0


def _add_invoke(commands: Any) -> None:
    parser = _add_command(commands, "invoke", invoke, "run the Lambda handler on an event file")
    parser.add_argument("event", type=Path, metavar="EVENT.json")
    _add_bundle_flag(parser)


def invoke(options: argparse.Namespace) -> int:
    import os

    event = json.loads(options.event.read_text(encoding="utf-8"))
    if options.bundle is not None:
        os.environ["MINNOW_BUNDLE"] = str(options.bundle)
    from handler.function import handler

    print(json.dumps(handler(event, None), ensure_ascii=False, indent=2))
    return 0


def _add_score(commands: Any) -> None:
    parser = _add_command(commands, "score", score, "classify the rows of files, in bulk")
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("inputs", nargs="+", metavar="FILE|GLOB|s3://...")
    parser.add_argument("--out", required=True, help="file, folder/ or s3://BUCKET/KEY")
    parser.add_argument("--workers", type=int, default=1, help="processes that classify")
    parser.add_argument("--text-column", default="text", help="column or field of the text")
    parser.add_argument("--max-characters", type=int, default=20_000, help="of one text")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    parser.add_argument("--json", action="store_true", help="print one object")


def score(options: argparse.Namespace) -> int:
    import dataclasses

    from handler.hosts.bulk import score_files
    from handler.settings import Limits

    summaries = score_files(
        options.bundle,
        options.inputs,
        options.out,
        workers=options.workers,
        column=options.text_column,
        limits=Limits(max_characters=options.max_characters),
        progress=None if options.quiet else sys.stderr,
    )
    if options.json:
        print(json.dumps({"files": [dataclasses.asdict(summary) for summary in summaries]}))
        return 0
    for summary in summaries:
        print(f"{summary.output}\t{summary.rows} rows, {summary.rejected} rejected")
    return 0


def _add_poll(commands: Any) -> None:
    parser = _add_command(commands, "poll", poll, "run the Lambda handler on a queue's messages")
    parser.add_argument("--queue", required=True, metavar="URL", help="the queue's URL")
    _add_bundle_flag(parser)
    parser.add_argument("--batch-size", type=int, default=10, help="messages of one invocation")
    parser.add_argument("--batch-window-s", type=float, default=0, help="wait to fill a batch")
    parser.add_argument("--visibility-timeout-s", type=int, help="default: the queue's own")
    parser.add_argument("--timeout-s", type=float, default=900, help="time of one invocation")
    parser.add_argument("--until-empty", action="store_true", help="end when nothing is left")


def poll(options: argparse.Namespace) -> int:
    import os

    if options.bundle is not None:
        os.environ["MINNOW_BUNDLE"] = str(options.bundle)
    from handler.function import handler
    from handler.hosts.poll import PollSettings, poll_queue, stop_on_signals

    settings = PollSettings(
        options.queue,
        options.batch_size,
        options.batch_window_s,
        options.visibility_timeout_s,
        options.timeout_s,
        options.until_empty,
    )
    done = poll_queue(handler, settings, stop_on_signals())
    print(f"{done.deleted} messages done, {done.failed} failures left to the queue")
    return 0


PRICES = (
    "gb_second",
    "million_invocations",
    "million_http",
    "gb_logs",
    "snapshot_gb_second",
    "restored_gb",
)


def _add_cost(commands: Any) -> None:
    parser = _add_command(commands, "cost", cost, "estimate the bill of a million requests")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--measured",
        action="append",
        type=_measurement,
        metavar="MB:WARM_MS:COLD_MS",
        help="one memory size, as in 1769:3.1:190; repeat it for others",
    )
    source.add_argument("--benchmark", type=Path, help="the JSON file of `make bench-cold`")
    parser.add_argument("--cold-share", type=_share, default=0.01, help="requests that are cold")
    parser.add_argument("--snapstart", action="store_true", help="cold requests restore a snapshot")
    for name in PRICES:
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, metavar="PRICE")
    parser.add_argument("--json", action="store_true", help="print one object")


def _measurement(text: str) -> Any:
    from minnow.cost import parse_measurement

    try:
        return parse_measurement(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share, wanted a number from 0 to 1")
    return share


def cost(options: argparse.Namespace) -> int:
    import dataclasses

    from minnow.cost import Prices, describe_costs, estimate_cost, read_benchmark

    given = {name: getattr(options, name) for name in PRICES}
    prices = Prices(**{name: price for name, price in given.items() if price is not None})
    measured = options.measured or read_benchmark(json.loads(options.benchmark.read_text()))
    assumed = {"cold_share": options.cold_share, "snapstart": options.snapstart}
    costs = [estimate_cost(one, prices, **assumed) for one in measured]
    if options.json:
        rows = [dataclasses.asdict(one) for one in costs]
        print(json.dumps({"prices": dataclasses.asdict(prices), "costs": rows}))
    else:
        print(describe_costs(costs, prices, options.cold_share))
    return 0
