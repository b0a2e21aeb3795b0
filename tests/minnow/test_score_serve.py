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


def test_a_taken_port_is_one_line(tiny_bundle):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with start_server(tiny_bundle, port) as server:
            _, error = server.communicate(timeout=20)

    assert error == f"minnow: 127.0.0.1: port {port} is taken. Choose another by --port\n"
    assert server.returncode == 1
