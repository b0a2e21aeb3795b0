"""Every hostile bundle, and a process that tries to load each.

Run: python -m tests.helpers.hostile_bundles FOLDER [slow]
A line of JSON for each: its name, what became of it, seconds, those of the processor, and bytes
that were taken meanwhile.
"""

from __future__ import annotations

import itertools
import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.helpers.hostile import Hostile
from tests.helpers.hostile_files import list_files
from tests.helpers.hostile_graphs import list_graphs
from tests.helpers.hostile_manifests import list_manifests
from tests.helpers.paths import TESTS


def list_hostile() -> Iterator[Hostile]:
    return itertools.chain(list_manifests(), list_files(), list_graphs())


def try_load(bundle: Path) -> str:
    """Return what loading a bundle ends in: "accepted", or the error's type and text."""
    from handler.inference.classifier import load_classifier

    try:
        load_classifier(bundle)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "accepted"


def read_status(name: str) -> int:
    """Return bytes: "VmRSS", what this process has; "VmHWM", the most that it had."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def main(folder: Path, is_slow: bool) -> None:
    try_load(TESTS / "tiny_bundle")  # imports, and memory that is taken once
    for index, case in enumerate(case for case in list_hostile() if case.is_slow == is_slow):
        bundle = Path(shutil.copytree(TESTS / "tiny_bundle", folder / str(index)))
        case.damage(bundle)
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
        before, begun, used = read_status("VmRSS"), time.perf_counter(), time.process_time()
        found = try_load(bundle)
        line = {
            "name": case.name,
            "found": found,
            "seconds": time.perf_counter() - begun,
            "processor_s": time.process_time() - used,
            "bytes": read_status("VmHWM") - before,
        }
        print(json.dumps(line), flush=True)
        shutil.rmtree(bundle)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] == ["slow"])
