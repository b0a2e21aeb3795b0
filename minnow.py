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
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")


def serve(options: argparse.Namespace) -> int:
    import dataclasses

    from handler.http.server import serve as run_server
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

    from handler.bulk import score_files
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
    from handler.poll import PollSettings, poll_queue, stop_on_signals

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
    parser.add_argument("--gb-second", type=float, help="price; the output names the default")
    parser.add_argument("--million-http", type=float, help="price; 0 for a Function URL")
    parser.add_argument("--json", action="store_true", help="print one object")


def _measurement(text: str) -> Any:
    from handler.cost import parse_measurement

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

    from handler.cost import Prices, describe_costs, estimate_cost, read_benchmark

    given = {name: getattr(options, name) for name in ("gb_second", "million_http")}
    prices = Prices(**{name: price for name, price in given.items() if price is not None})
    measured = options.measured or read_benchmark(json.loads(options.benchmark.read_text()))
    costs = [estimate_cost(one, prices, cold_share=options.cold_share) for one in measured]
    if options.json:
        rows = [dataclasses.asdict(one) for one in costs]
        print(json.dumps({"prices": dataclasses.asdict(prices), "costs": rows}))
    else:
        print(describe_costs(costs, prices, options.cold_share))
    return 0


if __name__ == "__main__":
    sys.exit(main())
