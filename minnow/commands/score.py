"""`minnow score`: files in, the same rows with predictions out."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

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
    "minnow score bundles/reviews s3://b/in/ --out s3://b/out/ --engine ray",
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
    typer.Argument(metavar="FILE...", help="Files, folders, patterns, s3://BUCKET/KEY or PREFIX/."),
]
Out = Annotated[
    str, option("--out", "FILE", "File, folder (ending in /) or s3://BUCKET/KEY to write.")
]
Workers = Annotated[
    int | None,
    option(
        "--workers",
        "N",
        "Processes that classify.",
        "1; with --engine as many as there are processors",
        min=1,
    ),
]
EngineOption = Annotated[
    Literal["ray"] | None,
    option("--engine", "NAME", "Share the work out on a cluster: ray.", "this machine alone"),
]
Address = Annotated[
    str | None,
    option(
        "--address",
        "ADDRESS",
        "The cluster's, as Ray takes it: auto, HOST:PORT, ray://HOST:PORT.",
        "RAY_ADDRESS, or a cluster that is started here and ends with the command",
    ),
]
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
    workers: Workers = None,
    engine: EngineOption = None,
    address: Address = None,
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
    from handler.rows.options import ReadOptions
    from handler.settings import Limits

    check_engine(engine, address, review, shard)
    progress = None if quiet else sys.stderr
    how: dict[str, Any] = {
        "column": text_column,
        "options": ReadOptions(delimiter, encoding, quoting, join_surplus),
        "limits": Limits(max_characters=max_characters),
        "force": force,
        "review": review,
    }
    if engine is None:
        from handler.hosts.bulk import score_files

        own = {"workers": workers or 1, "progress": progress, "shard": shard}
        summaries = score_files(bundle, inputs, out, **own, **how)
    else:
        from minnow.ray_score import score_on_ray

        summaries = score_on_ray(bundle, inputs, out, address, workers, progress, **how)
    print_summaries(summaries, json_output)


def check_engine(
    engine: str | None, address: str | None, review: str | None, shard: object
) -> None:
    """Raise BadParameter for options that do not go together."""
    if engine is None and address is not None:
        raise typer.BadParameter("--address: only with --engine ray")
    if engine is not None and shard is not None:
        raise typer.BadParameter("--shard: not with --engine, which shares out by itself")
    if engine is not None and review is not None:
        raise typer.BadParameter(
            "--review: not with --engine. The outputs have the column abstained"
        )


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
