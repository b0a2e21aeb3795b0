"""Files that are whole or not there, and folders that one process holds."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from handler.files import holding, replacing, write_json

HOLD = """
import sys, time
from pathlib import Path
from handler.files import holding
with holding(Path(sys.argv[1]), "out"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_file_is_replaced_as_a_whole_with_the_mode_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    write_json(tmp_path / "a.json", {"a": 1})

    with suppress(ValueError), replacing(tmp_path / "a.json") as temporary:
        temporary.write_text("half")
        raise ValueError

    assert (tmp_path / "a.json").read_text() == '{\n  "a": 1\n}\n'
    assert (tmp_path / "a.json").stat().st_mode == (tmp_path / "other").stat().st_mode
    assert sorted(os.listdir(tmp_path)) == ["a.json", "other"]


def test_what_a_killed_writer_left_is_neither_in_the_way_nor_used(tmp_path: Path) -> None:
    left = tmp_path / ".partial-a.json"
    left.mkdir()
    (left / "a.json").write_text("half of something longer than what comes now")

    write_json(tmp_path / "a.json", 1)

    assert (tmp_path / "a.json").read_text() == "1\n"
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("planted", ["link to a file", "link to a folder", "open folder", "file"])
def test_what_was_planted_is_refused_and_never_written_through(
    planted: str, tmp_path: Path
) -> None:
    victim, place = tmp_path / "victim", tmp_path / ".partial-a.json"
    victim.mkdir()
    (victim / "a.json").write_text("mine")
    if planted == "link to a file":
        place.symlink_to(victim / "a.json")
    elif planted == "link to a folder":
        place.symlink_to(victim)
    elif planted == "file":
        place.write_text("mine")
    else:
        place.mkdir()
        place.chmod(0o777)
        (place / "a.json").symlink_to(victim / "a.json")

    with pytest.raises(OSError, match="Remove it, or name another output") as caught:
        write_json(tmp_path / "a.json", 1)

    assert caught.value.filename == str(place)
    assert (victim / "a.json").read_text() == "mine"
    assert not (tmp_path / "a.json").exists()


def test_a_held_folder_is_refused_until_its_process_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "work"
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(OSError, match="is at work on it. Wait for its end, stop it"):
            with holding(folder, "out"):
                pass
        holder.kill()

    with holding(folder, "out"):
        assert folder.stat().st_mode & 0o777 == 0o700

    assert not folder.exists()


def test_a_folder_that_holds_something_is_kept(tmp_path: Path) -> None:
    with holding(tmp_path / "new" / "work", "out") as folder:
        (folder / "rows").touch()

    assert (folder / "rows").exists()
    with holding(folder, "out"):
        (folder / "rows").unlink()
    assert not folder.exists()
