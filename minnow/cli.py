"""The command line: runs one command, and says in one line why it could not do its work."""

from __future__ import annotations

import atexit
import gc
import os
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

ERROR_FOLDERS = ("handler", "training", "export", "minnow")  # each has a module `errors`
INTERRUPTED, TERMINATED = 130, 143  # as shells say it: 128 and the number of SIGINT or SIGTERM
END_S = 5.0  # after a failure; what ends of itself takes a tenth of a second
GC_THRESHOLD = 50_000  # Python's own, 700, collects a dozen times while libraries are imported


class Terminated(BaseException):
    """SIGTERM came: what is open is closed, as after Ctrl-C."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code.

    Args:
        arguments: Without the name of the program; None: of this process, which is then tuned for
            a quick start and end.

    Returns:
        0 done, 1 the work failed, 2 wrong usage, 130 interrupted, 143 terminated.
    """
    codes: list[int] = []
    open_closed_streams()
    is_program = arguments is None
    if arguments is None:
        arguments = sys.argv[1:]
        gc.set_threshold(GC_THRESHOLD)
        atexit.register(leave, codes)
        signal.signal(signal.SIGTERM, raise_terminated)
    codes.append(run(arguments))
    if (
        is_program and codes[0]
    ):  # a thread may wait for a process that ended in the middle of a word
        watch = threading.Timer(END_S, leave, [codes])
        watch.daemon = True
        watch.start()
    return codes[0]


def raise_terminated(*_: object) -> None:
    """Raise Terminated, once: what ends then is not disturbed."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Terminated


def open_closed_streams() -> None:
    """Let output go nowhere where the process was started without it, as by `minnow serve >&-`."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))


def leave(codes: list[int]) -> None:
    """End the process, after the exit handlers of all that was imported since `main` began.

    Python would take its modules apart next, which takes a tenth of the time of `minnow predict`
    and frees nothing that the end of the process does not.
    """
    if codes:  # none: an unexpected error, whose traceback has been printed
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(codes[0])


def run(arguments: Sequence[str]) -> int:
    """Run one command, and say in one line why it failed; return the exit code."""
    try:
        code = run_command(list(arguments))
        sys.stdout.flush()
    except KeyboardInterrupt:  # before Typer, which looks for it, is there
        code = INTERRUPTED
    except Terminated:
        code = TERMINATED
    except BrokenPipeError:  # such as `minnow predict | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ModuleNotFoundError as error:
        from minnow.extras import describe_missing

        if not (message := describe_missing(error, arguments)):
            raise
        print(f"minnow: {message}", file=sys.stderr)
        return 1
    except Exception as error:
        if not is_expected(error):
            raise
        print(f"minnow: {describe_error(error)}", file=sys.stderr)
        return 1
    if code in (INTERRUPTED, TERMINATED):
        print("minnow: interrupted", file=sys.stderr)
    return code


def run_command(arguments: list[str]) -> int:
    """Find the command, parse its arguments and run it; return the exit code."""
    import typer

    from minnow.group import make_group, naming_shell

    typed = shlex.join(["minnow", *arguments])
    try:
        # Typer returns a code after --help, --version and Ctrl-C; a command returns nothing.
        with naming_shell(arguments):
            group = make_group()
        return group.main(arguments, "minnow", standalone_mode=False, obj=typed) or 0
    except typer.TyperException as error:
        # Without arguments its message is the whole help, or nothing where that stands already.
        message = describe_usage(error) if arguments else error.format_message()
        print(message, end="\n" if message else "", file=sys.stderr)
        return error.exit_code


def is_expected(error: Exception) -> bool:
    """Say whether `error` was raised on purpose, with a message meant for the user.

    Named errors are told by the module that defines them, so that none is imported to find out;
    an OSError (no such file, no space left) speaks for itself.
    """
    modules = [kind.__module__.split(".") for kind in type(error).__mro__]
    return isinstance(error, OSError) or any(
        len(names) > 1 and names[-1] == "errors" and names[-2] in ERROR_FOLDERS for names in modules
    )


def describe_error(error: Exception) -> str:
    """Return one line: `FileNotFoundError` of `a.csv` -> "a.csv: No such file or directory"."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split("\n"))


def describe_usage(error: Any) -> str:
    """Return one line: what was wrong, what may have been meant, and where help is."""
    message = error.format_message()
    if possibilities := getattr(error, "possibilities", None):
        message = f"{error.message}. Did you mean {' or '.join(sorted(possibilities))}?"
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "minnow"
    return f"minnow: {' '.join(message.split())} (see {command} --help)"
