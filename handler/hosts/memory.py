"""Memory that a large request took is given back when it is over."""

from __future__ import annotations

import ctypes

M_MMAP_THRESHOLD = -3  # of glibc's malloc.h
# glibc's own default, which it raises up to 32 MB as soon as a larger piece was freed: from then on
# large pieces lie between small ones, and what 600 connections held once stays with the process.
THRESHOLD_BYTES = 131_072


def fix_mmap_threshold() -> None:
    """Keep glibc's allocator from keeping large pieces of memory; nothing elsewhere."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, THRESHOLD_BYTES)
