"""`minnow compare`: whether two versions of a model differ, as the log tells."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from minnow.options import Json, option
from minnow.repository import FROM_VARIABLE, REPOSITORY

PANEL = "Repository"
EXAMPLES = (
    "minnow compare live candidate server.log --models models/",
    "minnow compare 3 4 --model reviews logs/*.gz",
    "aws logs tail /aws/lambda/minnow --since 1d | minnow compare 3 4 -",
)

Live = Annotated[
    str,
    typer.Argument(
        metavar="LIVE",
        help="Version that answers: its number, or an alias of the repository, such as live.",
    ),
]
Candidate = Annotated[
    str,
    typer.Argument(
        metavar="CANDIDATE",
        help="Version that is tried: its number, or an alias; candidate is also the canary or "
        "shadow of LIVE.",
    ),
]
Logs = Annotated[
    list[str],
    typer.Argument(metavar="LOGS", help="Files of the log, also .gz; - is standard input."),
]
ModelName = Annotated[
    str | None, option("--model", "NAME", "Name of the model.", "the only one there is")
]
Models = Annotated[str | None, option("--models", "REPOSITORY", REPOSITORY, FROM_VARIABLE)]


def compare(
    live: Live,
    candidate: Candidate,
    logs: Logs,
    model: ModelName = None,
    models: Models = None,
    json_output: Json = False,
) -> None:
    """Say whether two versions of a model differ in labels, scores, latency and errors.

    It reads what servers and functions have logged while a version was tried (minnow promote
    --canary, --shadow). All intervals hold together 95 times in 100.

    Numbers need no repository; aliases are looked up in it.
    """
    from minnow.compare.comparison import compare_versions
    from minnow.compare.logs import Log, read_logs
    from minnow.compare.report import describe_comparison, write_report
    from minnow.compare.versions import choose_model, find_versions

    first, second, model = find_versions(live, candidate, model, models)
    log = Log(first, second, model or "")
    read_logs(log, logs)
    name, evidence = choose_model(log, first, second)
    found = compare_versions(evidence, first, second)
    if log.num_broken:
        print(
            f"{log.num_broken:,} of {log.num_lines:,} lines could not be read, and were skipped",
            file=sys.stderr,
        )
    if json_output:
        told = describe_comparison(name, first, second, evidence, found)
        told["lines"] = {"read": log.num_lines, "skipped": log.num_broken}
        print(json.dumps(told, ensure_ascii=False))
        return
    for line in write_report(name, first, second, evidence, found):
        print(line)
