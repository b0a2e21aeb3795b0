"""The command line: parses arguments and calls a room, which it imports only then."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

DEFAULT_BUNDLE = Path(__file__).parent / "handler" / "model"

DATA_HELP = "CSV, TSV, JSON Lines or Parquet (also .gz, .zst), or a folder with one a label"
# Flags named for the fields of `training.settings.Settings`.
TRAINING_FLAGS = {
    "--seed": int,
    "--dev-fraction": float,
    "--vocab-size": int,
    "--max-length": int,
    "--embedding-dim": int,
    "--dropout-rate": float,
    "--learning-rate": float,
    "--batch-size": int,
    "--epochs": int,
    "--patience": int,
}

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0 done, 1 the work failed, 2 wrong usage."""
    options = build_parser().parse_args(arguments)
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
    _add_data(commands)
    _add_predict(commands)
    _add_serve(commands)
    _add_invoke(commands)
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
    parser.add_argument("--dev", type=Path, metavar="FILE", help="default: a tenth of DATA")
    parser.add_argument("--test", type=Path, metavar="FILE", help="rows for the reported figures")
    parser.add_argument("--recipe", choices=("seed",), default="seed")
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

    settings = importlib.import_module(f"training.recipes.{options.recipe}").SETTINGS
    names = {field.name for field in dataclasses.fields(settings)} - {"recipe"}
    given = {name: value for name, value in vars(options).items() if name in names}
    columns = Columns(options.text_column, options.label_column, options.group_column)
    sources = Sources(options.data, options.dev, options.test, columns)
    run = train_run(sources, options.out, dataclasses.replace(settings, **given), options.force)
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
    if (folder / "metadata.json").is_file():
        _quieten_tensorflow()
        from training.run_folder import read_run
        from training.train import load_predictor

        run = read_run(folder)
        return run.labels, load_predictor(run)
    from handler.classifier import load_classifier

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
    parser.add_argument("--test", type=Path, metavar="FILE", help="rows to measure the bundle on")
    parser.add_argument("--force", action="store_true", help="replace BUNDLE")
    parser.add_argument("--json", action="store_true", help="print one object")


def export(options: argparse.Namespace) -> int:
    _quieten_tensorflow()
    from export.export import ExportSettings, export_run

    settings = ExportSettings(
        options.precision, not options.full_range, options.name, options.model_version
    )
    measure = _bundle_measure(options.run, options.test) if options.test else None
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
    from handler.classifier import load_classifier
    from handler.core import answer_request
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


def serve(options: argparse.Namespace) -> int:
    import dataclasses

    import uvicorn

    from handler.app import create_app
    from handler.classifier import load_classifier
    from handler.settings import read_settings

    settings = dataclasses.replace(read_settings(), bundle=options.bundle)
    classifier = load_classifier(settings.bundle, settings.threads)
    uvicorn.run(create_app(classifier, settings), host=options.host, port=options.port)
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


if __name__ == "__main__":
    sys.exit(main())
