"""A process and all that it has started: which they are, and their memory."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.helpers.served import read_sizes

TICKS = os.sysconf("SC_CLK_TCK")


def read_memory(root: int) -> tuple[int, int, int]:
    """Return how many processes a tree has, and the bytes that are resident in them: as each
    counts them, and with a share of what several have."""
    sizes = []
    for process in list_processes(root):
        with suppress(OSError):  # it has ended meanwhile
            sizes.append([read_sizes(process, field) for field in ("Rss:", "Pss:")])
    return len(sizes), sum(resident for resident, _ in sizes), sum(shared for _, shared in sizes)


def read_cpu(root: int) -> dict[int, float]:
    """Return process -> the seconds of processors that it has taken so far, of a tree."""
    seconds = {}
    for process in list_processes(root):
        with suppress(OSError):
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            seconds[process] = (int(fields[11]) + int(fields[12])) / TICKS
    return seconds


def list_processes(root: int) -> list[int]:
    """Return a process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields: Any = path.read_text().rsplit(")", 1)[1].split()
        except OSError:  # it has ended meanwhile
            continue
        children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    waiting, found = [root], []
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found
