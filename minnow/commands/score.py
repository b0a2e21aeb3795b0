"""`minnow score`: files in, the same rows with predictions out."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from minnow.options import (
    BUNDLE,
    Delimiter,
    Encoding,
    JoinSurplus,
    Json,
    Quoting,
    RememberedTextColumn,
    flag,
    option,
)

if TYPE_CHECKING:
    from handler.hosts.file_job import Summary

PANEL = "Model"
EXAMPLES = (
    "minnow score bundles/reviews reviews.csv --out scored.csv",
    'minnow score bundles/reviews "parts/*.jsonl.gz" --out scored/ --workers 2',
    'minnow score bundles/reviews "parts/*.csv" --out scored/ --shard 0/16',
)

SHOWN_REASONS = 10


def parse_shard(text: str) -> object:
    """Return one `--shard`; another text is wrong usage."""
    from handler.hosts.shards import read_shard

    try:
        return read_shard(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Bundle = Annotated[Path, typer.Argument(metavar="BUNDLE", help=BUNDLE)]
Inputs = Annotated[
    list[str],
    typer.Argument(metavar="FILE...", help="Files, patterns, s3://BUCKET/KEY or PREFIX/."),
]
Out = Annotated[
    str, option("--out", "FILE", "File, folder (ending in /) or s3://BUCKET/KEY to write.")
]
Workers = Annotated[int, option("--workers", "N", "Processes that classify.", min=1)]
MaxCharacters = Annotated[
    int,
    option("--max-characters", "N", "Longest text that is scored; others are rejected.", min=1),
]
Review = Annotated[
    str | None,
    option(
        "--review",
        "FILE",
        "File or folder for the rows that the model does not answer, a copy of theirs.",
        "none",
    ),
]
ShardOption = Annotated[
    Any,
    option(
        "--shard",
        "I/N",
        "Score the share of one of N processes, I from 0 to N-1; minnow shards checks all.",
        "all rows",
        parser=parse_shard,
    ),
]
Force = Annotated[bool, flag("--force", "Replace outputs that stand already.")]
Quiet = Annotated[bool, flag("--quiet", "Draw no progress.")]


def score(
    bundle: Bundle,
    inputs: Inputs,
    out: Out,
    review: Review = None,
    workers: Workers = 1,
    shard: ShardOption = None,
    text_column: RememberedTextColumn = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    quoting: Quoting = None,
    join_surplus: JoinSurplus = False,
    max_characters: MaxCharacters = 20_000,
    force: Force = False,
    quiet: Quiet = False,
    json_output: Json = False,
) -> None:
    """Classify the rows of files, in bulk.

    The output has the rows and columns of the input, and the predictions beside them. Scoring that
    was stopped goes on when the same command runs again.
    """
    from handler.hosts.bulk import score_files
    from handler.rows.options import ReadOptions
    from handler.settings import Limits

    summaries = score_files(
        *(bundle, inputs, out),
        workers=workers,
        column=text_column,
        options=ReadOptions(delimiter, encoding, quoting, join_surplus),
        limits=Limits(max_characters=max_characters),
        progress=None if quiet else sys.stderr,
        force=force,
        review=review,
        shard=shard,
    )
    print_summaries(summaries, json_output)


def print_summaries(summaries: list[Summary], json_output: bool) -> None:
    """Say where the results are, and which rows were rejected and why."""
    if json_output:
        print(json.dumps({"files": [dataclasses.asdict(summary) for summary in summaries]}))
        return
    for summary in summaries:
        print(f"{summary.output}\t{summary.rows} rows, {summary.rejected} rejected")
        if summary.review:
            print(f"{summary.review}\t{summary.unanswered} rows that were not answered")
        if summary.rejects:
            print(f"{summary.rejects}\twhich rows, and why:")
        for reason, count in list(summary.reasons.items())[:SHOWN_REASONS]:
            print(f"  {count:,} x {reason}")
