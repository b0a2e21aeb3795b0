"""What `minnow train` says at its end: what changed nothing, where to look, what comes next."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.run_folder import Run
    from training.tasks import Objective


def list_idle(run: Run, given: dict[str, Any]) -> list[str]:
    """Return lines about what the user gave and what changed nothing in the finished model."""
    from training.answers.class_weights import AIM
    from training.settings import OF_ENCODER

    metadata = run.metadata
    if metadata["settings"]["units"] or given.get("encoder") == "none":
        return []
    lines = []
    if idle := [f"--{name.replace('_', '-')}" for name in OF_ENCODER if name in given]:
        lines.append(
            f"the model is a linear one (see the report): {', '.join(idle)} changed nothing in it"
        )
    if AIM in metadata["aims"]:
        has_effect = bool(metadata["task"].get("thresholds"))
        chosen = "only choose the answers" if has_effect else "changed nothing in it"
        lines.append(
            "the model is a linear one, which counts all labels the same: the class weights "
            f"{chosen}"
        )
    return lines


def say_done(run: Run, objective: Objective, data_name: str, given: dict[str, Any]) -> None:
    """Say where to look, and what comes next."""
    from handler.inference.tasks import MultiLabel
    from training.answers.decisions import MACRO_F1, MOST_PROBABLE
    from training.figures.mistakes import name_mistakes

    if numbers := run.metadata["mistakes"]:
        print(f"\n{name_mistakes(objective)}: rows {', '.join(map(str, numbers))} of {data_name}")
    for line in list_idle(run, given):
        print(line, file=sys.stderr)
    print(f"\n{run.folder}: done. The report is in {run.folder / 'report.md'}", file=sys.stderr)
    bundle = Path("bundles") / run.folder.resolve().name
    command = shlex.join(["minnow", "export", str(run.folder), "--out", str(bundle)])
    if not run.metadata["settled"].get("is_reached", True):
        command += ", with an aim that can be reached (as above), or none: --decide "
        command += MACRO_F1 if objective.task.kind == MultiLabel.kind else MOST_PROBABLE
    print(f"next: {command}", file=sys.stderr)
