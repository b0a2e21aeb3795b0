"""What `minnow score` and `minnow serve` tell the user."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from handler.files import check_room, replacing
from minnow.cli import main


@contextmanager
def start_server(bundle, port: int) -> Iterator[subprocess.Popen]:
    command = [sys.executable, "-m", "minnow", "serve", str(bundle), "--port", str(port)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as server:
        try:
            yield server
        finally:
            server.kill()


def test_score_names_the_rejected_rows_and_why(tiny_bundle, tmp_path, capsys):
    texts = ["good film", "x" * 30_000, "bad", "y" * 20_001]
    (tmp_path / "a.csv").write_text("text\n" + "\n".join(texts) + "\n")
    out = tmp_path / "out.csv"

    assert main(["score", str(tiny_bundle), str(tmp_path / "a.csv"), "--out", str(out)]) == 0

    output = capsys.readouterr()
    assert output.out == (
        f"{out}\t4 rows, 2 rejected\n{out}.rejected\twhich rows, and why:\n"
        "  2 x text has N characters, the limit is N\n"
    )
    assert "  0 rows/s" not in output.err


def test_score_leaves_nothing_beside_after_a_refusal(tiny_bundle, tmp_path, capsys):
    (tmp_path / "a.csv").write_text("number\n1\n")
    out = tmp_path / "out.csv"

    assert main(["score", str(tiny_bundle), str(tmp_path / "a.csv"), "--out", str(out)]) == 1

    assert "--text-column" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["a.csv"]


def test_score_replaces_no_file_without_force(tiny_bundle, tmp_path, capsys):
    (tmp_path / "a.csv").write_text("text\ngood film\n")
    out = tmp_path / "mine.csv"
    out.write_text("mine\n")
    command = ["score", str(tiny_bundle), str(tmp_path / "a.csv"), "--out", str(out)]

    assert main(command) == 1

    message = f"minnow: {out}: exists already. Name another file by --out; --force replaces it\n"
    assert (capsys.readouterr().err, out.read_text()) == (message, "mine\n")
    assert main([*command, "--force"]) == 0
    assert out.read_text().startswith("text,")
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "mine.csv"]


def test_score_replaces_no_file_at_the_place_of_the_rejected_rows(tiny_bundle, tmp_path, capsys):
    (tmp_path / "a.csv").write_text("text\ngood film\n")
    (tmp_path / "b.csv.rejected").write_text("mine\n")

    command = ["score", str(tiny_bundle), str(tmp_path / "a.csv"), "--out", f"{tmp_path}/b.csv"]

    assert main(command) == 1
    assert "b.csv.rejected: exists already" in capsys.readouterr().err
    assert (tmp_path / "b.csv.rejected").read_text() == "mine\n"


def test_stopped_scoring_of_several_files_goes_on(tiny_bundle, tmp_path, capsys):
    (tmp_path / "a.csv").write_text("text\ngood film\n")
    (tmp_path / "b.csv").write_text("number\n1\n")  # stops the command after its first file
    names = [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    command = ["score", str(tiny_bundle), *names, "--out", f"{tmp_path}/out/"]
    assert main(command) == 1
    before = (tmp_path / "out" / "a.csv").stat().st_ino
    (tmp_path / "b.csv").write_text("text\nbad film\n")

    assert main(command) == 0

    assert (tmp_path / "out" / "a.csv").stat().st_ino == before
    assert sorted(os.listdir(tmp_path / "out")) == ["a.csv", "b.csv"]
    assert main(command) == 1
    assert "a.csv: exists already" in capsys.readouterr().err


def test_stopped_scoring_goes_on_for_the_same_command_only(tiny_bundle, tmp_path, capsys):
    (tmp_path / "a.csv").write_text("text,title\ngood film,bad\n")
    (tmp_path / "b.csv").write_text("number\n1\n")
    names = [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    command = ["score", str(tiny_bundle), *names, "--out", f"{tmp_path}/out/"]
    assert main(command) == 1
    before = (tmp_path / "out" / "a.csv").read_bytes()

    assert main([*command, "--text-column", "title"]) == 1

    assert "a.csv: exists already" in capsys.readouterr().err
    assert (tmp_path / "out" / "a.csv").read_bytes() == before


def test_synthetic_data_replace_no_file_without_force(tmp_path, capsys):
    command = ["data", "synthetic", "--out", str(tmp_path), "--rows", "3"]
    path = tmp_path / "synthetic_reviews.csv"
    path.write_text("mine\n")

    assert main(command) == 1

    assert "synthetic_reviews.csv: exists already" in capsys.readouterr().err
    assert path.read_text() == "mine\n"
    assert main([*command, "--force"]) == 0
    assert path.read_text().startswith("text,label\n")


def test_data_go_into_a_folder_of_their_name_unless_told_otherwise(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert main(["data", "synthetic", "--rows", "3"]) == 0

    assert (tmp_path / "synthetic" / "synthetic_reviews.csv").exists()


def test_a_disk_without_room_is_named_before_the_work(tmp_path):
    with pytest.raises(OSError, match="needs about 1,000,000,000.00 MB, the disk has") as caught:
        check_room(tmp_path / "new" / "out.csv", 10**15)

    assert caught.value.filename == str(tmp_path / "new" / "out.csv")


def test_a_full_disk_names_the_file(tmp_path):
    with pytest.raises(OSError, match="the disk is full") as caught:
        with replacing(tmp_path / "model.npz"):
            raise OSError(28, "No space left on device")

    assert caught.value.filename == str(tmp_path / "model.npz")


def test_serve_says_address_model_and_ready(tiny_bundle):
    with start_server(tiny_bundle, 0) as server:
        lines = [server.stdout.readline() for _ in range(3)]
        address = lines[1].removeprefix("ready at ").split()[0]
        with urllib.request.urlopen(f"{address}/health") as response:
            status = response.status
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=20)

    assert lines[0] == "model tiny, version 1\n"
    assert lines[2].startswith(f"next: curl -s {address}/predict ")
    assert (status, server.returncode) == (200, 0)


def test_serve_without_bundle_takes_that_of_the_environment(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MINNOW_BUNDLE", str(tmp_path / "nowhere"))

    assert main(["serve"]) == 1

    assert "nowhere/manifest.json: no such file" in capsys.readouterr().err


def test_a_taken_port_is_one_line(tiny_bundle):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with start_server(tiny_bundle, port) as server:
            _, error = server.communicate(timeout=20)

    assert error == f"minnow: 127.0.0.1: port {port} is taken. Choose another by --port\n"
    assert server.returncode == 1
