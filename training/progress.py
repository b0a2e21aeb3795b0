"""What the user sees while a run is made, and how it is stopped."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Result = TypeVar("Result")
QUIET = "TQDM_DISABLE"  # the variable that silences progress bars, and the lines here with them
WAIT_S = 0.1


def is_quiet() -> bool:
    """Say whether progress is not to be shown."""
    return bool(os.environ.get(QUIET))


@contextmanager
def quiet(wanted: bool) -> Iterator[None]:
    """Show no progress inside, if `wanted`."""
    before = os.environ.get(QUIET)
    if wanted:
        os.environ[QUIET] = "1"
    try:
        yield
    finally:
        if wanted:
            os.environ.pop(QUIET)
            os.environ |= {} if before is None else {QUIET: before}


def say(text: str) -> None:
    """Tell the user something, unless it shall be quiet."""
    if not is_quiet():
        print(text, file=sys.stderr, flush=True)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Show a line for what happens inside, on a terminal from its beginning on: `phrases: 2.1 s`.

    It goes again where something goes wrong, which is told in a line of its own.
    """
    is_terminal = sys.stderr.isatty() and not is_quiet()
    started = time.monotonic()
    if is_terminal:
        print(f"{name} …", end="", file=sys.stderr, flush=True)
    try:
        yield
    except BaseException:
        if is_terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        raise
    if is_terminal:
        print("\r\x1b[K", end="", file=sys.stderr)
    say(f"{name}: {time.monotonic() - started:.1f} s")


def interruptible(compute: Callable[[], Result]) -> Result:
    """Return what `compute` returns, or raise KeyboardInterrupt at once where it is pressed.

    Libraries in C do not look for it until they are done. `compute` runs in a thread, which nobody
    waits for then: it must write nothing.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(compute())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(WAIT_S)
    if errors:
        raise errors[0]
    return results[0]
