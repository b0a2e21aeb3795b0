"""The server as it runs: `minnow serve` in a process of its own, real sockets, hostile clients."""

import contextlib
import gzip
import http.client
import json
import os
import re
import socket
import subprocess
import sys

import httpx
import pytest

from tests.helpers.raw_http import WAIT_S, read_all
from tests.helpers.served import serve_bundle

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(tiny_bundle):
    with serve_bundle(tiny_bundle) as served:
        yield served.port


def send(port, raw):
    """Send bytes as they are; return the status and the rest of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    match = re.match(rb"HTTP/1.1 (\d+)", answer)
    return int(match[1]) if match else None, answer


def post(port, body, **headers):
    headers = {"content-type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return httpx.post(f"http://127.0.0.1:{port}/predict", content=body, headers=headers)


def make_words(size):
    return b'{"text":"' + b"a" * size + b'"}'


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b'{"text":"good film"}', {}, 200),
        (make_words(10_000_000), {}, 413),
        (make_words(20_001), {}, 413),
        (make_words(20_000), {}, 200),
        (json.dumps({"texts": ["a"] * 100_000}).encode(), {}, 413),
        (b"[" * 1_000_000, {}, 413),
        (b"[" * 100_000, {}, 400),
        (b'{"a":' * 100_000, {}, 400),
        (b'{"text":' + b"9" * 100_000 + b"}", {}, 400),
        (b'{"text":"a","threshold":1e' + b"9" * 100 + b"}", {}, 400),
        (gzip.compress(b"0" * 200_000_000, 9, mtime=0), {"content_encoding": "gzip"}, 413),
        (gzip.compress(make_words(100), mtime=0), {"content_encoding": "gzip"}, 200),
        (b'{"text":"\xed\xa0\x80"}', {}, 400),
        (b'{"text":"\\udfff"}', {}, 422),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_hostile_body_gets_its_refusal_and_the_server_lives(served, body, headers, status):
    response = post(served, body, **headers)

    assert response.status_code == status
    assert post(served, b'{"text":"good"}').status_code == 200


@pytest.mark.parametrize(
    "head",
    [
        b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{}   ",
        b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n{}",
        b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ntransfer-encoding: chunked"
        b"\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 200_000 + b"\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nhost: a\r\nx-request-id: a\x00b\r\n\r\n",
        b"GET / HTTP/9.9\r\nhost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=lambda head: str(head[-30:]),
)
def test_a_broken_request_never_gets_a_5xx(served, head):
    status, _ = send(served, head)

    assert status is None or 200 <= status < 500
    assert post(served, b'{"text":"good"}').status_code == 200


def test_a_header_cannot_be_split(served):
    status, answer = send(
        served,
        b"GET /health HTTP/1.1\r\nhost: a\r\nx-request-id: a%0d%0aset-cookie: b\r\n"
        b"connection: close\r\n\r\n",
    )

    assert status == 200
    assert b"set-cookie" not in answer.lower()


def test_a_body_without_end_is_refused_once_it_is_too_long(served):
    with socket.create_connection(("127.0.0.1", served), timeout=WAIT_S) as connection:
        head = b"POST /predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
        connection.sendall(head)
        chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
        sent = 0
        with contextlib.suppress(OSError):  # it hangs up, in the end
            while sent < 100_000_000:
                connection.sendall(chunk)
                sent += 0x10000
        answer = read_all(connection)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert 4_500_000 <= sent < 40_000_000
    assert post(served, b'{"text":"good"}').status_code == 200


def test_the_server_says_neither_its_name_nor_its_version(served):
    assert "server" not in httpx.get(f"http://127.0.0.1:{served}/health").headers


@pytest.mark.parametrize("path", ["/predict", "/", "/nowhere"])
def test_head_has_no_body(served, path):
    connection = http.client.HTTPConnection("127.0.0.1", served, timeout=WAIT_S)
    connection.request("HEAD", path)

    response = connection.getresponse()

    assert response.status == {"/predict": 405, "/": 200, "/nowhere": 404}[path]
    assert response.read() == b""
    connection.close()


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("MINNOW_API_KEYS", "my-key-in-clear", "MINNOW_API_KEYS holds an entry"),
        ("MINNOW_BUNDLE_SHA256", "0" * 64, "tests/tiny_bundle/manifest.json: sha256 is "),
        ("MINNOW_RATE_LIMIT", "-1", "MINNOW_RATE_LIMIT is '-1', wanted a whole number"),
        ("MINNOW_MAX_EXPLAINED_TOKENS", "x", "MINNOW_MAX_EXPLAINED_TOKENS is 'x'"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_line(tiny_bundle, variable, value, message):
    done = subprocess.run(
        [sys.executable, "-m", "minnow", "serve", str(tiny_bundle)],
        env={**os.environ, variable: value},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("minnow: ")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "my-key" not in done.stderr


def test_minnow_key_prints_a_key_and_the_setting_that_lets_it_in(tmp_path):
    command = [sys.executable, "-m", "minnow", "key", "shop", "--json"]

    first, second = (
        json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        for _ in range(2)
    )

    assert first["key"] != second["key"]
    assert re.fullmatch("shop:[0-9a-f]{64}", first["setting"])
