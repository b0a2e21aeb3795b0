"""The containers' health check, as the script that it is, against real sockets."""

import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from handler.errors import ArtefactError
from handler.hosts import health, server
from tests.helpers import http_service
from tests.helpers.http_service import Server

PORTS = [
    {},
    {"PORT": "9000"},
    {"PORT": "9000", "SAGEMAKER_BIND_TO_PORT": "9001"},
    {"PORT": "9000", "SAGEMAKER_BIND_TO_PORT": "9001", "AIP_HTTP_PORT": "9002"},
    {"PORT": "9000", "AIP_HTTP_PORT": ""},
]


def check(port, **variables):
    """Return exit status and output of the check, started as the image starts it."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", health.__file__],
        env={"PORT": str(port), **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


@contextmanager
def answering(*pieces, pause_s=0.0):
    """A server that reads a request and sends the pieces; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer():
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                for piece in pieces:
                    try:
                        connection.sendall(piece)
                    except OSError:
                        return
                    time.sleep(pause_s)

        thread = threading.Thread(target=answer)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


def test_a_server_that_serves_is_healthy_until_it_computes_wrongly(tiny_classifier, monkeypatch):
    def fail():
        raise ArtefactError("the golden text has another score")

    monkeypatch.setattr("handler.inference.models.GOLDEN_PERIOD_S", 0)
    with Server(http_service.make_service(tiny_classifier)) as served:
        port = served.address.split(":")[1]
        ready = check(port)
        monkeypatch.setattr(tiny_classifier, "check_golden", fail)
        wrong = check(port)

    assert ready == (0, "", "")
    assert wrong == (1, f"port {port}: HTTP/1.1 503 Service Unavailable\n", "")


def test_a_port_where_nothing_listens_is_unhealthy():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    status, output, problem = check(port)

    assert (status, problem) == (1, "")
    assert output.startswith(f"port {port}: ")
    assert "refused" in output


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([b"HTTP/1.1 2", b"00 OK\r\n\r\n"], 0),
        ([b"HTTP/1.0 503 x\r\n\r\n 200 "], 1),
        ([b"\x16\x03\x01\x02\x00 200 OK\r\n"], 1),
        ([b"200 OK\r\n"], 1),
        ([b"a" * 1000], 1),
        ([], 1),
    ],
    ids=str,
)
def test_only_the_status_of_the_first_line_counts(pieces, status):
    with answering(*pieces, pause_s=0.05) as port:
        found, _, problem = check(port)

    assert (found, problem) == (status, "")


@pytest.mark.slow
@pytest.mark.parametrize("piece", [b"", b"a"], ids=["hangs", "drips"])
def test_a_server_that_never_finishes_its_line_is_given_up(piece):
    started = time.monotonic()
    with answering(*[piece] * 60, pause_s=0.1) as port:
        status, output, problem = check(port)
        passed_s = time.monotonic() - started

    assert (status, output, problem) == (1, f"port {port}: timed out\n", "")
    assert health.TIMEOUT_S <= passed_s < 60  # the upper bound: not forever, on any machine


@pytest.mark.parametrize("port", ["x", "70000", "-1", "9" * 30])
def test_a_port_that_is_none_is_one_line(port):
    status, output, problem = check(port)

    assert (status, problem) == (1, "")
    assert len(output.splitlines()) == 1


@pytest.mark.parametrize("variables", PORTS, ids=str)
def test_the_port_is_the_one_that_the_server_takes(variables, monkeypatch):
    asked = []
    monkeypatch.setattr(health.os, "environ", variables)
    monkeypatch.setattr(health, "read_status", lambda port: asked.append(port) or "HTTP/1.1 200 OK")

    assert health.main() == 0
    assert asked == [server.read_port(variables)]


def test_the_check_imports_next_to_nothing():
    script = f"import sys, runpy; runpy.run_path({health.__file__!r}); print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-I", "-S", "-c", script], text=True).split()

    assert not {"handler", "socket", "urllib", "http", "numpy"} & set(loaded)
