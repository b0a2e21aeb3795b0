"""Resident memory over many requests of random lengths: it must be flat after the first 5,000.

Run: python -m benchmarks.http_memory --bundle BUNDLE [--requests 100000]
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np

from benchmarks.http import CONTEXT, WORDS, make_event, make_lambda_http
from handler.inference.classifier import load_classifier

WARM_UP = 5_000
MAX_WORDS = 600


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--requests", type=int, default=100_000)
    options = parser.parse_args()
    lambda_http = make_lambda_http(load_classifier(options.bundle))
    rng = np.random.default_rng(7)
    kinds = ("http_v2", "rest_v1", "alb", "function_url")
    base = 0.0
    for i in range(options.requests + 1):
        if i == WARM_UP:
            base = read_resident_mb()
        if i % (options.requests // 10) == 0 or i == WARM_UP:
            print(f"{i:8} requests {read_resident_mb():8.1f} MB", flush=True)
        words = rng.choice(WORDS, int(rng.integers(0, MAX_WORDS)))
        texts = [" ".join(words)] * int(rng.choice([1, 1, 1, 1, 1, 1, 1, 2, 5]))
        reply = lambda_http.answer(make_event(kinds[i % 4], {"texts": texts}), CONTEXT)
        if reply["statusCode"] != 200:
            raise RuntimeError(f"request {i} got {reply['statusCode']}")
    print(f"growth after the first {WARM_UP}: {read_resident_mb() - base:+.1f} MB")
    return 0


def read_resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    sys.exit(main())
