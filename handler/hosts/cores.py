"""How many workers a server has unless it is told: one for each core that it may use, as far as
memory goes."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
# A worker that answers the largest requests holds 32 MB of bodies, and takes as much again for one.
WORKER_BYTES = 256_000_000


def count_cores(cgroup: Path = CGROUP) -> int:
    """Return how many cores this process may use: those it may run on, within the time that its
    container is given."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(_all_cores())
    return max(1, math.floor(min(len(allowed), _read_quota(cgroup))))


def count_workers(cgroup: Path = CGROUP) -> int:
    """Return the number of workers: at most one for each core, and for each 256 MB of memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # cgroup v2 and v1
        memory = min(memory, _read_number(cgroup / name) or memory)
    return max(1, min(count_cores(cgroup), memory // WORKER_BYTES))


def _all_cores() -> int:
    return os.cpu_count() or 1


def _read_quota(cgroup: Path) -> float:
    """Return the cores' worth of time that a container has: cgroup v2 "150000 100000" -> 1.5."""
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
        return math.inf if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    quota_us = _read_number(cgroup / "cpu" / "cpu.cfs_quota_us")  # cgroup v1; -1: no limit
    period_us = _read_number(cgroup / "cpu" / "cpu.cfs_period_us")
    return quota_us / period_us if quota_us and period_us and quota_us > 0 else math.inf


def _read_number(path: Path) -> int | None:
    """Return what stands in a file of one number; None where it is not there, or "max"."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
