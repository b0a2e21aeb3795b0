"""Files that are there whole or not at all, made by one process at a time.

What is not whole yet stands in a folder of its own beside the output, which one process holds while
it works. Only its owner may write into such a folder, so nothing in it was planted by others; and
the kernel ends the hold with the process, so one that is killed blocks nobody.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

MAKE_ROOM = "Make room, or write to another disk"
PARTIAL = ".partial-"  # begins the name of the folder of a file that is not whole yet
FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def holding(folder: Path, output: Path | str) -> Iterator[Path]:
    """Yield `folder`, made where it is not yet, which no other process holds while the block runs.

    What stands in it stays; if that is nothing, the folder is removed.

    Args:
        output: What the work is for, as errors call it.

    Raises:
        OSError: Another process holds it, it is no folder, or others may write into it.
    """
    made = [parent for parent in folder.parents if not parent.exists()]
    descriptor = _take(folder, output)
    try:
        yield folder
    finally:
        for empty in (folder, *made):
            with suppress(OSError):  # it is not empty
                empty.rmdir()
        os.close(descriptor)


def check_idle(folder: Path, output: Path | str) -> None:
    """Raise OSError where another process holds `folder`, or nobody can."""
    if os.path.lexists(folder):
        with holding(folder, output):
            pass


def _take(folder: Path, output: Path | str) -> int:
    """Return a descriptor of `folder` that holds it until it is closed."""
    while True:
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir(0o700)
            is_ours = True
        except FileExistsError:
            is_ours = False
        except FileNotFoundError:  # its parent was removed again, by another process that ended
            continue
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                raise _describe_obstacle(folder, output, "is no folder") from None
            raise
        try:
            if _is_held(descriptor, folder, output):
                if not is_ours:
                    _check_owner(os.fstat(descriptor), folder, output)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_held(descriptor: int, folder: Path, output: Path | str) -> bool:
    """Take hold of an open folder; False where it was removed or replaced meanwhile."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        who = _find_holder(os.fstat(descriptor))
        reason = f"{who} is at work on it. Wait for its end, stop it, or name another output"
        raise OSError(errno.EBUSY, reason, str(output)) from None
    except OSError as error:  # a disk, as over a network, that has no locks
        reason = f"cannot be kept to one process, {error.strerror} there. Write to another disk"
        raise OSError(error.errno, reason, str(output)) from error
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(folder))
    except FileNotFoundError:
        return False


def _check_owner(status: os.stat_result, folder: Path, output: Path | str) -> None:
    if status.st_uid != os.geteuid():
        raise _describe_obstacle(folder, output, "belongs to another user")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _describe_obstacle(folder, output, "can be written by others")


def _describe_obstacle(folder: Path, output: Path | str, problem: str) -> OSError:
    reason = f"{problem}, and the work on {output} is kept there. Remove it, or name another output"
    return OSError(errno.EEXIST, reason, str(folder))


def _find_holder(status: os.stat_result) -> str:
    """Return who holds an open folder, as far as the system tells."""
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    with suppress(OSError), open("/proc/locks", encoding="ascii") as locks:  # of Linux
        for fields in map(str.split, locks):
            # 1: FLOCK ADVISORY WRITE 4242 fd:01:131 0 EOF
            if fields[1] == "FLOCK" and fields[5] == device and fields[4] != "0":
                return f"process {fields[4]}"
    return "another process"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path for `path`; what is written there takes its place at the end.

    The temporary name is the same, in a folder of its own (`a.npz` -> `.partial-a.npz/a.npz`). If
    the block raises, the temporary file is removed and `path` is as it was.
    """
    with holding(path.with_name(PARTIAL + path.name), path) as folder:
        temporary = folder / path.name
        temporary.unlink(missing_ok=True)  # of a process that was killed
        try:
            with naming(path):
                yield temporary
                with temporary.open("rb") as file:
                    os.fsync(file.fileno())  # or a power cut could leave the name without content
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give an error of the system the name of the file that is written, where it has none."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        is_full = error.errno in FULL or os.strerror(errno.ENOSPC) in str(error)
        code = errno.ENOSPC if is_full else error.errno or errno.EIO
        reason = error.strerror or str(error)
        if is_full:
            reason = f"the disk is full ({count_free(path) / 1e6:,.2f} MB free). {MAKE_ROOM}"
        raise OSError(code, reason, str(path)) from error


def check_room(path: Path, need_bytes: int) -> None:
    """Raise OSError unless `path`, which need not be there yet, can be written with so many bytes.

    Only what can be known: others may fill the disk meanwhile.
    """
    folder = _nearest_folder(path)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OSError(errno.EACCES, f"cannot be written, {folder} is read-only for you", str(path))
    free = count_free(path)
    if free < need_bytes:
        need = f"needs about {need_bytes / 1e6:,.2f} MB, the disk has {free / 1e6:,.2f} MB free"
        raise OSError(errno.ENOSPC, f"{need}. {MAKE_ROOM}", str(path))


def count_free(path: Path) -> int:
    """Return the bytes that the disk of `path` has left."""
    return shutil.disk_usage(_nearest_folder(path)).free


def _nearest_folder(path: Path) -> Path:
    return next(folder for folder in path.resolve().parents if folder.is_dir())


def write_json(path: Path, document: Any) -> None:
    """Write `document` to `path` as indented JSON."""
    content = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(content, encoding="utf-8")


def empty_folder(folder: Path, last: str = "") -> None:
    """Remove all that stands in a folder; the file `last`, which tells what it is, at the end."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name == last):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
