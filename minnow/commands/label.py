"""`minnow label`: texts in, the same rows with probabilities out, by whatever can be asked."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from minnow.options import (
    Delimiter,
    Encoding,
    JoinSurplus,
    Json,
    Quoting,
    TextColumn,
    Texts,
    flag,
    option,
    split_names,
)

if TYPE_CHECKING:
    from training.labelling.label import Summary
    from training.labelling.labeller import Labeller

PANEL = "Tools"
EXAMPLES = (
    'minnow label new.csv --labels pos,neg --with "python ask.py" --out soft.csv',
    "minnow label new.csv --labels pos,neg --with openai:http://localhost:8000/v1 \\\n"
    "    --model qwen3 --agree hand.csv --out soft.csv",
)
CHAT = "openai:"
KEY = "OPENAI_API_KEY"
CHAT_PANEL = "With openai:URL"

Labels = Annotated[
    str, option("--labels", "NAME,NAME", "Labels that may be answered.", callback=split_names)
]
With = Annotated[
    str,
    option("--with", "COMMAND", "A command, or openai:URL, such as openai:https://host/v1."),
]
Out = Annotated[Path, option("--out", "FILE", "File to write, in the format of TEXTS.")]
Agree = Annotated[
    Path | None,
    option("--agree", "FILE", "Hand-labelled rows that the answers are compared with.", "no"),
]
LabelColumn = Annotated[
    str, option("--label-column", "NAME", "Column of --agree that holds the label.")
]
MaxEntropy = Annotated[
    float | None,
    option(
        "--max-entropy",
        "BITS",
        "Leave out rows of a higher entropy; two labels as likely have 1 bit.",
        "all rows are written",
        min=0,
    ),
]
BatchSize = Annotated[
    int | None,
    option("--batch-size", "N", "Texts for one start of COMMAND.", "50", min=1, max=100_000),
]
Concurrency = Annotated[
    int | None,
    option(
        "--concurrency",
        "N",
        "Batches or requests at the same time.",
        "1 of a command, 4 of openai:",
        min=1,
        max=256,
    ),
]
Retries = Annotated[
    int, option("--retries", "N", "How often what failed is asked again.", min=0, max=20)
]
RequestsPerMinute = Annotated[
    float | None,
    option(
        "--requests-per-minute",
        "N",
        "Most batches or requests in a minute.",
        "as many as are answered",
        min=0.01,
    ),
]
Timeout = Annotated[
    float,
    option("--timeout-s", "SECONDS", "Time that one batch or request has.", min=0.01, max=86_400),
]
Model = Annotated[
    str | None,
    option(
        "--model", "NAME", "Model as the server calls it.", "required", rich_help_panel=CHAT_PANEL
    ),
]
Prompt = Annotated[
    Path | None,
    option(
        "--prompt",
        "FILE",
        "Prompt; {labels} and {text} in it are filled in.",
        "a plain one",
        rich_help_panel=CHAT_PANEL,
    ),
]
KeyEnv = Annotated[
    str | None,
    option(
        "--key-env",
        "NAME",
        "Variable of the environment that holds the key.",
        f"{KEY}, if it is set",
        rich_help_panel=CHAT_PANEL,
    ),
]
Force = Annotated[bool, flag("--force", "Replace an output that stands already.")]
Quiet = Annotated[bool, flag("--quiet", "Draw no progress.")]


def label(
    texts: Texts,
    labels: Labels,
    labeller: With,
    out: Out,
    text_column: TextColumn = "text",
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    quoting: Quoting = None,
    join_surplus: JoinSurplus = False,
    agree: Agree = None,
    label_column: LabelColumn = "label",
    max_entropy: MaxEntropy = None,
    batch_size: BatchSize = None,
    concurrency: Concurrency = None,
    retries: Retries = 4,
    requests_per_minute: RequestsPerMinute = None,
    timeout_s: Timeout = 600,
    model: Model = None,
    prompt: Prompt = None,
    key_env: KeyEnv = None,
    force: Force = False,
    quiet: Quiet = False,
    json_output: Json = False,
) -> None:
    """Ask a bigger model, or any command, for the labels of texts.

    COMMAND is started for each batch. It reads a line {"text": "..."} for each text, and writes for
    each, in the same order, {"label": "pos"} or {"probabilities": {"pos": 0.8, "neg": 0.2}}.

    The output has the rows of TEXTS and a column label of probabilities, which minnow train reads.
    Answers are kept in FILE.answers as they come: the same command, run again, asks only for what
    has none. Rows without an answer are left out and told, and the exit status is 1.
    """
    from handler.rows.options import ReadOptions
    from training.labelling.files import Source
    from training.labelling.label import Plan, check_labels, label_file
    from training.labelling.pace import Pace
    from training.rows.columns import Columns

    names = check_labels(labels)
    is_chat = labeller.startswith(CHAT)
    given = {"--model": model, "--prompt": prompt, "--key-env": key_env}
    check_fitting(is_chat, given, batch_size)
    asked = (
        make_chat(labeller, names, timeout_s, model, prompt, key_env)
        if is_chat
        else make_command(labeller, names, timeout_s)
    )
    options = ReadOptions(delimiter, encoding, quoting, join_surplus)
    plan = Plan(
        names,
        1 if is_chat else batch_size or 50,
        concurrency or (4 if is_chat else 1),
        retries,
        max_entropy,
        None if agree is None else (agree, Columns(text_column, label_column)),
    )
    summary = label_file(
        Source(texts, text_column, options),
        out,
        asked,
        plan,
        Pace(requests_per_minute),
        force,
        None if quiet else sys.stderr,
    )
    report(summary, agree, json_output)


def check_fitting(is_chat: bool, given: Mapping[str, object], batch_size: int | None) -> None:
    """Raise BadParameter where an option is of the other kind of labeller, or is missing."""
    if is_chat:
        if not given["--model"]:
            raise typer.BadParameter("openai:URL needs --model NAME")
        if batch_size is not None:
            raise typer.BadParameter("openai:URL asks for one text at a time, without --batch-size")
    elif names := [name for name, value in given.items() if value is not None]:
        raise typer.BadParameter(f"{names[0]} is for --with openai:URL, not for a command")


def make_command(command: str, labels: tuple[str, ...], timeout_s: float) -> Labeller:
    """Return what asks a command."""
    from training.labelling.command import CommandLabeller

    return CommandLabeller(command, labels, timeout_s)


def make_chat(
    address: str,
    labels: tuple[str, ...],
    timeout_s: float,
    model: str | None,
    prompt: Path | None,
    key_env: str | None,
) -> Labeller:
    """Return what asks a server, with the key that the environment holds.

    Raises:
        CommandError: The variable that was named is not set.
    """
    from minnow.errors import CommandError
    from training.labelling.chat import PROMPT, ChatLabeller, check_key

    name = key_env or KEY
    if key_env is not None and not os.environ.get(name):
        raise CommandError(f"{name}: is not set in the environment. Set it to the key.")
    key = check_key(os.environ.get(name, ""), name)
    text = PROMPT if prompt is None else read_prompt(prompt)
    return ChatLabeller(address.removeprefix(CHAT), model or "", labels, timeout_s, text, key)


def read_prompt(path: Path) -> str:
    """Return the prompt in a file.

    Raises:
        CommandError: It is not UTF-8, or empty.
    """
    from minnow.errors import CommandError

    try:
        text = path.read_text("utf-8").strip()
    except UnicodeDecodeError:
        text = ""
    if not text:
        raise CommandError(f"{path}: holds no prompt, wanted text in UTF-8.")
    return text


def report(summary: Summary, agree: Path | None, json_output: bool) -> None:
    """Print what became of the rows.

    Raises:
        CommandError: Rows have no label.
    """
    from training.labelling.label import describe_failed

    agreement = summary.agreement
    if json_output:
        fields = {name: getattr(summary, name) for name in summary.__dataclass_fields__}
        print(json.dumps(fields))
    else:
        counts = f"{summary.rows:,} rows, {summary.labelled:,} labelled"
        counts += f", {summary.unsure:,} unsure and left out" if summary.unsure else ""
        print(f"{summary.output}\t{counts}, {summary.asked:,} texts asked for")
    if agree is not None and not json_output:
        print(format_agreement(agreement, agree))
    if summary.failed:
        from minnow.errors import CommandError

        raise CommandError(
            f"{summary.output}: {describe_failed(summary.failed)} They are left out; the same "
            "command asks for them again."
        )


def format_agreement(agreement: Mapping[str, Any], agree: Path) -> str:
    """Return one line: how far the answers are those of people."""
    rows, of_rows = agreement["rows"], agreement["of_rows"]
    if not rows:
        return f"{agree}\tnone of its {of_rows:,} texts was asked for: put them into TEXTS too"
    low, high = agreement["accuracy_interval"]
    return (
        f"{agree}\tagreement on {rows:,} of {of_rows:,} rows: accuracy {agreement['accuracy']:.4f} "
        f"(95 %: {low:.4f} to {high:.4f}), log loss {agreement['log_loss']:.4f}"
    )
