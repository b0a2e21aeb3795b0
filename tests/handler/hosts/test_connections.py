"""Connections of slow, silent, greedy and leaving clients, and how a server ends."""

import contextlib
import gc
import json
import logging
import signal
import socket
import struct
import threading
import time

import httpx
import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from handler.hosts import connections, listener
from handler.hosts.connection import Connection
from handler.hosts.connections import Connections
from handler.http.formats.pages import SCRIPT
from handler.http.service import Service
from handler.inference.monitor import Monitor
from handler.settings import Limits, Settings
from tests.helpers.http_service import Server, make_models
from tests.helpers.raw_http import NEXT, connect, read_all, read_statuses
from tests.helpers.served import serve_bundle

HEAD = b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
SHORT_S = 0.3


@pytest.fixture
def quick_timeouts(monkeypatch):
    for name in ("HEAD_TIMEOUT_S", "LINGER_S", "STALL_TIMEOUT_S"):
        monkeypatch.setattr(f"handler.hosts.connection.{name}", SHORT_S)


@pytest.fixture
def port(make_service, quick_timeouts):
    with Server(make_service(limits=Limits())) as server:
        yield int(server.address.split(":")[1])


def is_answered(port):
    with connect(port) as connection:
        connection.sendall(NEXT)
        return read_statuses(read_all(connection)) == [200]


def test_a_client_that_resets_while_it_is_refused_makes_no_error(make_service, monkeypatch):
    errors = []
    drop_body = Connection._drop_body
    with Server(make_service(limits=Limits(max_body_bytes=100))) as server:
        client = connect(int(server.address.split(":")[1]))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        def reset_first(connection):
            client.close()
            connection.loop.set_exception_handler(lambda loop, context: errors.append(context))
            drop_body(connection)

        monkeypatch.setattr(Connection, "_drop_body", reset_first)
        monkeypatch.setattr(
            logging.getLogger("uvicorn.error"), "error", lambda *args, **kwargs: errors.append(args)
        )

        client.sendall(HEAD + b"content-length: 100000\r\n\r\n" + b"x" * 1000)

        deadline = time.monotonic() + 5
        while client.fileno() >= 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        monkeypatch.undo()
        assert client.fileno() < 0
        assert is_answered(int(server.address.split(":")[1]))
    assert errors == []


@pytest.mark.parametrize("piece", [b"GET /health HTTP/1.1\r\n", b"G", b"\r\n"], ids=ascii)
def test_a_head_that_does_not_come_gets_408_and_the_connection_ends(port, piece):
    with connect(port) as connection:
        connection.sendall(piece)

        statuses = read_statuses(read_all(connection))

    assert statuses == [408]


def test_a_head_that_drips_gets_408(port):
    with connect(port) as connection, contextlib.suppress(ConnectionError):
        for letter in b"GET /health HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 1000:
            connection.sendall(bytes([letter]))
            time.sleep(SHORT_S / 10)

        assert read_statuses(read_all(connection)) == [408]


def test_a_second_head_that_does_not_come_gets_408_after_the_first_answer(port):
    with connect(port) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\nGET /")

        statuses = read_statuses(read_all(connection))

    assert statuses == [200, 408]


def test_a_silent_connection_ends_without_a_word(port):
    with connect(port) as connection:
        assert read_all(connection) == b""


def test_a_client_that_does_not_read_is_let_go(port):
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", port))
        request = b"GET " + SCRIPT.encode() + b" HTTP/1.1\r\nhost: a\r\n\r\n"
        connection.sendall(request * 10)
        time.sleep(4 * SHORT_S)  # nothing is read meanwhile

        received = len(read_all(connection))

    assert received < 10_000_000
    assert is_answered(port)


def test_a_client_that_half_closes_gets_its_answer(port):
    body = json.dumps({"text": "good " * 1000}).encode()  # large: answered in another thread
    with connect(port) as connection:
        connection.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
        connection.shutdown(socket.SHUT_WR)

        assert read_statuses(read_all(connection)) == [200]


def test_answers_on_one_connection_do_not_wait_for_receipts(port):
    with connect(port) as connection:
        started = time.monotonic()
        for _ in range(100):  # of 44 ms each, where the second packet waits for the first
            connection.sendall(NEXT.replace(b"connection: close\r\n", b""))
            answer = b""
            while b'"status":"ok"' not in answer:
                answer += connection.recv(65536)

    assert time.monotonic() - started < 3


def test_a_connection_that_is_over_leaves_no_memory(port):
    def count():
        return sum(isinstance(thing, HttpToolsProtocol) for thing in gc.get_objects())

    gc.collect()
    before = count()
    gc.disable()
    try:
        answered = [is_answered(port) for _ in range(20)]
        deadline = time.monotonic() + 20
        while count() > before and time.monotonic() < deadline:
            time.sleep(0.05)
        after = count()
    finally:
        gc.enable()

    assert answered == [True] * 20
    assert after <= before


def test_who_does_not_read_gives_his_place(make_service, monkeypatch):
    monkeypatch.setattr(listener, "MAX_CONNECTIONS", 8)
    with Server(make_service()) as server, contextlib.ExitStack() as stack:
        port = int(server.address.split(":")[1])
        for _ in range(20):
            greedy = stack.enter_context(socket.socket())
            greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            greedy.connect(("127.0.0.1", port))
            with contextlib.suppress(ConnectionError):
                greedy.sendall((b"GET " + SCRIPT.encode() + b" HTTP/1.1\r\nhost: a\r\n\r\n") * 20)
        time.sleep(0.2)

        assert [is_answered(port) for _ in range(5)] == [True] * 5


def test_answers_that_are_not_read_take_little_together():
    class Client:
        is_there = True

        def give_way(self):
            self.is_there = False

    clients = [Client() for _ in range(4)]
    all_of_them = Connections(limit=100)
    for client in clients:
        all_of_them.admit(client)
        all_of_them.set_busy(client)
        all_of_them.add_unread(client, connections.MAX_UNREAD_BYTES // 2)

    assert [client.is_there for client in clients] == [False, False, True, True]


def test_the_connection_idle_for_longest_gives_its_place(make_service, monkeypatch):
    monkeypatch.setattr(listener, "MAX_CONNECTIONS", 4)
    with Server(make_service()) as server, contextlib.ExitStack() as stack:
        port = int(server.address.split(":")[1])
        busy = stack.enter_context(connect(port))
        busy.sendall(HEAD + b"content-length: 20\r\n\r\n{")
        time.sleep(0.1)
        idle = [stack.enter_context(connect(port)) for _ in range(20)]

        answered = [is_answered(port) for _ in range(10)]
        busy.sendall(b'"text":"good film"}')

        assert answered == [True] * 10
        assert busy.recv(12) == b"HTTP/1.1 200"
        assert read_all(idle[0]) == b""


def test_one_connection_too_many_gets_503_while_all_others_are_at_work(make_service, monkeypatch):
    monkeypatch.setattr(listener, "MAX_CONNECTIONS", 2)
    with Server(make_service()) as server, contextlib.ExitStack() as stack:
        port = int(server.address.split(":")[1])
        for _ in range(2):
            busy = stack.enter_context(connect(port))
            busy.sendall(HEAD + b"content-length: 20\r\n\r\n{")
        time.sleep(0.1)

        with connect(port) as third:
            assert read_statuses(read_all(third)) == [503]


def test_connections_fit_the_files_that_may_be_open(monkeypatch):
    monkeypatch.setattr(listener.resource, "getrlimit", lambda kind: (1024, 1024))
    assert listener.count_connections() == 512

    monkeypatch.setattr(listener.resource, "getrlimit", lambda kind: (400, 400))
    assert listener.count_connections() == 144


def test_few_connections_are_read_on_after_their_refusal():
    all_of_them = Connections(limit=100)
    clients = [object() for _ in range(connections.MAX_LINGERING + 1)]

    assert [all_of_them.may_linger(client) for client in clients][-2:] == [True, False]
    all_of_them.remove(clients[0])
    assert all_of_them.may_linger(clients[-1])


def test_lines_that_repeat_are_logged_once_with_their_count():
    now = [0.0]
    seldom = listener.Seldom(clock=lambda: now[0])
    records = [
        listener.logging.LogRecord("x", 30, "", 0, "refused: %s", (number,), None)
        for number in range(5)
    ]

    passed = [seldom.filter(record) for record in records[:4]]
    now[0] = listener.LOG_PERIOD_S
    passed.append(seldom.filter(records[4]))

    assert passed == [True, False, False, False, True]
    assert records[4].getMessage() == "refused: 4 (and 3 more like it)"


class Gate:
    """A classifier that answers when it is told to."""

    def __init__(self, classifier):
        self._classifier = classifier
        self.is_open = threading.Event()
        self.is_asked = threading.Event()

    def __getattr__(self, name):
        return getattr(self._classifier, name)

    def predict(self, texts):
        self.is_asked.set()
        assert self.is_open.wait(20)
        return self._classifier.predict(texts)


@pytest.fixture
def gated(tiny_classifier):
    """A server whose predictions wait for the gate, and the gate."""
    gate = Gate(tiny_classifier)
    models = make_models(gate, Limits(), Monitor())
    with Server(Service(models, Settings())) as server:
        yield server, gate
        gate.is_open.set()


@contextlib.contextmanager
def asking(server, gate, body):
    """Ask for `body`, which waits at the gate in this block; yield the list of its answer."""
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(httpx.post(f"{server.url}/predict", json=body, timeout=20))
    )
    thread.start()
    assert gate.is_asked.wait(20)
    yield answers
    thread.join()


LARGE = {"text": "good " * 1000}
MANY = {"texts": ["a"] * 64}
COSTLY = [LARGE, {"text": "good", "explain": True}, MANY, {"text": "é" * 600}]


@pytest.mark.parametrize("body", COSTLY, ids=["large", "explain", "many", "wide"])
def test_probes_and_refusals_go_on_while_a_costly_request_is_at_work(gated, body):
    server, gate = gated

    with asking(server, gate, body) as answers:
        probe = httpx.get(f"{server.url}/health")
        refused = httpx.post(f"{server.url}/predict", json={"text": 1})
        gate.is_open.set()

    assert (probe.status_code, refused.status_code) == (200, 422)
    assert [answer.status_code for answer in answers] == [200]


def test_large_bodies_that_hold_too_much_together_get_503(gated, monkeypatch):
    monkeypatch.setattr("handler.http.relay.MAX_HELD_BYTES", 12_000)
    server, gate = gated
    statuses = []

    def ask():
        statuses.append(httpx.post(f"{server.url}/predict", json=LARGE, timeout=20).status_code)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 20
    while len(statuses) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    probe = httpx.get(f"{server.url}/health").status_code
    gate.is_open.set()
    for thread in threads:
        thread.join()

    assert probe == 200
    assert sorted(statuses) == [200, 200, 503, 503]
    assert httpx.post(f"{server.url}/predict", json=LARGE).status_code == 200


def post_raw(port, body):
    connection = connect(port)
    connection.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
    return connection


def test_what_cannot_be_answered_before_the_end_is_refused(gated, monkeypatch):
    monkeypatch.setattr("handler.http.relay.DRAIN_WORK_S", SHORT_S)
    server, gate = gated

    with asking(server, gate, LARGE) as answers:
        server.end()

    assert [(answer.status_code, answer.headers["connection"]) for answer in answers] == [
        (503, "close")
    ]


@pytest.mark.slow
def test_a_server_that_is_told_to_end_answers_what_it_has_accepted(tiny_bundle):
    body = json.dumps({"texts": ["good film " * 800] * 200}).encode()
    with serve_bundle(tiny_bundle) as served, contextlib.ExitStack() as stack:
        ready = f"{served.url}/v2/health/ready"
        assert httpx.get(ready).status_code == 200
        waiting = [stack.enter_context(post_raw(served.port, body)) for _ in range(6)]
        waiting += [
            stack.enter_context(post_raw(served.port, b'{"text":"good film"}')) for _ in range(10)
        ]
        unfinished = stack.enter_context(connect(served.port))
        unfinished.sendall(HEAD + b"content-length: 100\r\n\r\n{")

        served.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        during = httpx.get(ready)
        seconds = served.end()
        answers = [read_statuses(read_all(connection)) for connection in waiting]

        assert (during.status_code, during.headers["connection"]) == (503, "close")
        assert answers == [[200]] * 16
        assert seconds < 8
        assert 408 in read_statuses(read_all(unfinished))


@pytest.mark.slow
def test_a_server_that_has_nothing_to_do_ends_at_once(tiny_bundle):
    with serve_bundle(tiny_bundle) as served:
        with contextlib.ExitStack() as stack:
            for _ in range(5):
                stack.enter_context(connect(served.port))
            assert served.end() < 8
