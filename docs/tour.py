"""Writes `docs/tour.md`: what a terminal shows from labelled texts to an answered request.

Run: make tour
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

PAGE = Path(__file__).with_name("tour.md")
COMMANDS = (
    "minnow data synthetic --out data --rows 600",
    "minnow train data/synthetic_reviews.csv --out runs/reviews --epochs 3",
    "minnow export runs/reviews --out bundles/reviews",
    'minnow predict bundles/reviews "the plot was not bad ." "this film felt dull ."',
    "minnow evaluate bundles/reviews data/synthetic_reviews.csv",
    "minnow score bundles/reviews data/synthetic_reviews.csv --out scored.csv",
    "minnow predict runs/reviews 'the plot was not bad .'",
    "minnow train data/synthetic_reviews.csv --out runs/reviews",
)
SERVE = "minnow serve bundles/reviews --port 8123"
ASK = (
    "curl -s http://127.0.0.1:8123/predict -H 'content-type: application/json' "
    """-d '{"text": "the acting was superb ."}'"""
)
START_S = 30


def main() -> int:
    """Run the commands in a folder of their own and write what they printed."""
    minnow = Path(sys.executable).with_name("minnow")
    environment = {**os.environ, "PATH": f"{minnow.parent}:{os.environ['PATH']}", "COLUMNS": "80"}
    lines = [
        "# A tour",
        "",
        "What a terminal shows, as `make tour` recorded it. On a terminal a bar shows how far "
        "training and scoring are.",
        "",
        "```",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for command in COMMANDS:
            done = subprocess.run(
                shlex.split(command),
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            lines += [f"$ {command}", *done.stdout.rstrip().splitlines(), ""]
        lines += record_serving(folder, environment)
    PAGE.write_text("\n".join([*lines, "```", ""]), encoding="utf-8")
    return 0


def record_serving(folder: str, environment: dict[str, str]) -> list[str]:
    """Return what the server and the client print for one request."""
    server = subprocess.Popen(
        shlex.split(SERVE),
        cwd=folder,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + START_S
    while True:
        try:
            urllib.request.urlopen("http://127.0.0.1:8123/health").close()
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    answer = subprocess.run(shlex.split(ASK), capture_output=True, text=True, check=True).stdout
    server.send_signal(signal.SIGINT)
    log, _ = server.communicate(timeout=START_S)
    shown = [line for line in log.splitlines() if '"health"' not in line]
    return [f"$ {SERVE} &", *shown, "", f"$ {ASK}", answer]


if __name__ == "__main__":
    sys.exit(main())
