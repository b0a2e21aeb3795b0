"""`minnow predict`: texts in, one line each out."""

from __future__ import annotations

import codecs
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from minnow.errors import CommandError
from minnow.options import SHIPPED, BundleOption, flag, option, read_share
from minnow.selective import read_aim

if TYPE_CHECKING:
    from handler.inference.classifier import Prediction
    from handler.inference.models import Model
    from handler.inference.tasks import Options, Task

PANEL = "Model"
EXAMPLES = (
    'minnow predict "A clever, moving film."',
    'minnow predict bundles/reviews "Dull." "Superb."',
    "minnow predict --json < reviews.txt",
)
# One word with a slash or the ending of a file; 10/10 and an address of the web are texts.
PATH = re.compile(r"(?!\d+([.,]\d+)?/\d+$)(?!\w+://)\S*[/\\]\S*|[~.]{1,2}|\S+\.[a-z]{3,7}")
ENDINGS = "csv tsv txt json jsonl ndjson parquet xlsx onnx keras npz gz zst zip".split()

TopK = Annotated[
    int | None, option("--top-k", "K", "Show the K most probable labels.", "the best one", min=1)
]
Threshold = Annotated[
    float,
    option("--threshold", "SHARE", "Show labels of this probability or more.", parser=read_share),
]
Explain = Annotated[bool, flag("--explain", "Show what each token speaks for.")]
Coverage = Annotated[
    float | None,
    option(
        "--coverage",
        "SHARE",
        "Show the labels that hold the true one so often, such as 0.9.",
        "no set",
        parser=read_aim,
    ),
]
Json = Annotated[bool, flag("--json", "Print one JSON object a line, as POST /predict answers.")]


def predict(
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[BUNDLE] TEXT...",
            help="Texts to classify; a first one that is a path names the bundle.",
            show_default="one text a line from standard input",
        ),
    ] = None,
    bundle: BundleOption = None,
    top_k: TopK = None,
    threshold: Threshold = 0.0,
    explain: Explain = False,
    coverage: Coverage = None,
    json_output: Json = False,
) -> None:
    """Classify texts, or the lines of standard input as they come."""
    bundle, texts = split_bundle(bundle, texts or [])
    from handler.inference.tasks import Options

    model = load_model(bundle)
    options = Options(top_k, threshold, explain, "--explain", coverage, "--coverage")
    if coverage is not None:
        check_coverage(model, options)
    # Given texts are one batch; a line is answered before the next one is read.
    batches = [texts] if texts else ([line] for line in read_lines())
    for batch in batches:
        predictions = model.predict(batch)
        answers = model.answer(batch, predictions, options)["predictions"]
        for prediction, answer in zip(predictions, answers, strict=True):
            if json_output:
                print(json.dumps(answer, ensure_ascii=False), flush=True)
            else:
                print(*format_answer(model.task, prediction, options, answer), sep="\n", flush=True)


def load_model(bundle: Path | None) -> Model:
    """Return the model of the bundle, or the one that comes with Minnow, which is said."""
    from handler.inference.classifier import load_classifier
    from handler.inference.models import Model
    from handler.settings import DEFAULT_BUNDLE, NO_LIMITS, read_trust

    if bundle is None:
        print(f"minnow: by {SHIPPED}; --bundle names another", file=sys.stderr)
    classifier = load_classifier(bundle or DEFAULT_BUNDLE, trust=read_trust())
    return Model(classifier, NO_LIMITS)


def check_coverage(model: Model, options: Options) -> None:
    """Raise CommandError where the model has no set of labels for the coverage."""
    from handler.errors import InvalidInput

    try:
        model.check_request([""], options=options)
    except InvalidInput as error:
        raise CommandError(f"{error.detail}.") from error


def split_bundle(bundle: Path | None, texts: list[str]) -> tuple[Path | None, list[str]]:
    """Return the bundle and the texts: a first text that is a path is the bundle.

    Raises:
        CommandError: It is a path, but of no bundle.
    """
    if bundle is not None or not texts or not is_path(texts[0]):
        return bundle, texts
    path = Path(texts[0])
    as_text = "A text that looks like a path needs its bundle named: --bundle BUNDLE"
    if not path.exists():
        raise CommandError(f"{path}: no such folder, wanted a bundle. {as_text}")
    if not path.is_dir():
        raise CommandError(
            f"{path}: is a file, wanted a bundle's folder. Its lines are classified by: minnow "
            f"predict < {path}, its rows by: minnow score BUNDLE {path} --out FILE"
        )
    return path, texts[1:]


def is_path(text: str) -> bool:
    """Say whether a text is a folder or looks like a path: "bundles/reviews", not "10/10"."""
    try:
        if Path(text).is_dir():
            return True
    except (OSError, ValueError):  # too long for a path, or with a null
        return False
    if not PATH.fullmatch(text):
        return False
    has_slash, ending = set(text) & set("/\\"), text.rpartition(".")[2]
    return bool(has_slash) or text in ("~", ".", "..") or ending in ENDINGS


def read_lines() -> Iterator[str]:
    """Yield the lines of standard input, each as soon as it is whole.

    Raises:
        CommandError: A line is not UTF-8, or there is none.
    """
    if sys.stdin.isatty():
        print("minnow: one text a line; Ctrl-D ends", file=sys.stderr)
    number = 0
    stream: Iterable[Any] = getattr(sys.stdin, "buffer", sys.stdin)
    for number, line in enumerate(stream, start=1):
        if isinstance(line, bytes):
            try:
                line = line.removeprefix(codecs.BOM_UTF8 if number == 1 else b"").decode()
            except UnicodeDecodeError as error:
                raise CommandError(
                    f"standard input: line {number} is not UTF-8 at byte {error.start}. Convert "
                    "it, for example: iconv -f WINDOWS-1252 -t UTF-8"
                ) from None
        yield line.rstrip("\r\n")
    if not number:
        raise CommandError("standard input is empty, wanted one text a line")


def format_answer(
    task: Task, prediction: Prediction, options: Options, answer: dict[str, Any]
) -> Iterator[str]:
    """Yield a line with tabs between: the answer, and what limits its worth; then the tokens."""
    # A number has no scores to choose from; several labels are as many as the text has.
    is_asked = bool(options.top_k or options.threshold) and "scores" in answer
    ranked = task.rank(prediction.outputs) if is_asked or "labels" in answer else []
    notes = ["no known words"] if prediction.known_tokens == 0 else []
    notes += ["truncated"] if prediction.truncated else []
    if ranked and not is_asked:
        shown = [pair for pair in ranked if pair[0] in answer["labels"]]
        cells = [cell for pair in shown for cell in pair]
        notes += [] if shown else ["no label"]
    elif ranked:
        # The answer stands first, also where a threshold chose another than the most probable one.
        chosen = task.predicted_labels(prediction.outputs)
        ranked.sort(key=lambda pair: pair[0] not in chosen)
        shown = [pair for pair in ranked[: options.top_k or 1] if pair[1] >= options.threshold]
        cells = [cell for pair in shown for cell in pair]
        notes += [] if shown else [f"none of {options.threshold:g} or more"]
    else:
        cells = list(task.cells(prediction.outputs))
    if answer.get("abstained"):
        why = "out of scope" if answer.get("out_of_scope") else "uncertain"
        cells = ["-", answer["score"]]
        notes = [f"no answer, {why}; best: {answer['best']}", *notes]
    elif "best" in answer and not ranked:
        cells = [answer["label"], answer["score"]]
    notes += [f"set: {', '.join(answer['set']) or 'empty'}"] if "set" in answer else []
    line = "\t".join(cell if isinstance(cell, str) else f"{cell:.4f}" for cell in cells)
    yield f"{line}  ({', '.join(notes)})".strip() if notes else line
    for token in answer.get("explanation", ()):
        yield f"  {token['contribution']:+.4f}\t{token['token']}"
