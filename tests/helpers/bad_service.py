"""A service that answers badly, before a real one that says what it was asked to do.

    hang       reads the request and never answers
    drip       answers a byte at a time, and would take hours
    throttle   says that too many requests came
    cut        closes the connection in the midst of the answer
    reset      closes the connection before the request is read

None of these requests reaches the real service, unless the fault is `late`: it does, and only the
answer hangs.
"""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

FAULTS = ("hang", "drip", "throttle", "cut", "reset")
DRIP_S = 0.05
FOREVER = 1 << 30
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: 999999\r\n\r\n"
)


class BadService:
    """A proxy; `fault` is what befalls the requests that `is_spoiled` picks.

    Args:
        url: The real service.
    """

    def __init__(self, url: str) -> None:
        self._lock = threading.Lock()
        self.fault = ""
        self.skip = 0  # how many requests are answered well before
        self.times = 0  # how many requests are spoiled before it is well again
        self.is_spoiled: Callable[[bytes], bool] = lambda head: True
        self.num_spoiled = 0
        self._port = int(url.rsplit(":", 1)[-1])
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def spoil(self, fault: str, part: bytes = b"", skip: int = 0, times: int = FOREVER) -> None:
        """Let `fault` befall `times` requests whose head holds `part`, but for the first `skip`."""
        self.fault, self.skip, self.times, self.num_spoiled = fault, skip, times, 0
        self.is_spoiled = lambda head: part in head

    def heal(self) -> None:
        """Answer well from here on, and close the connections that hang."""
        self.fault = ""
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.heal()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, ValueError), connection, connection.makefile("rb") as reader:
            while head := _read_head(reader):
                size = int(dict(_fields(head)).get(b"content-length", 0))
                if self._takes(head):
                    if self.fault == "reset":
                        _reset(connection)
                        return
                    body = _read_body(connection, reader, head, size)
                    if self.fault == "late":
                        self._forward(head, body)
                    if not _answer_badly(connection, reader, self.fault, head):
                        return
                else:
                    body = _read_body(connection, reader, head, size)
                    connection.sendall(self._forward(head, body))

    def _takes(self, head: bytes) -> bool:
        with self._lock:
            if not self.fault or not self.times or not self.is_spoiled(head):
                return False
            if self.skip:
                self.skip -= 1
                return False
            self.times -= 1
            self.num_spoiled += 1
            return True

    def _forward(self, head: bytes, body: bytes) -> bytes:
        method, path, _ = head.split(b"\r\n")[0].decode().split(" ", 2)
        headers = {name.decode(): value.decode() for name, value in _fields(head)}
        headers.pop("expect", None)
        server = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            server.request(method, path, body, headers)
            reply = server.getresponse()
            content = reply.read()
        finally:
            server.close()
        lines = [f"HTTP/1.1 {reply.status} {reply.reason}"]
        for name, value in reply.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                lines.append(f"{name}: {value}")
        size = reply.getheader("Content-Length", "0") if method == "HEAD" else len(content)
        return "\r\n".join([*lines, f"Content-Length: {size}", "", ""]).encode() + content


@contextmanager
def bad_service(url: str) -> Iterator[BadService]:
    """Yield a service in front of the one at `url`, well at first."""
    service = BadService(url)
    try:
        yield service
    finally:
        service.close()


@contextmanager
def full_backlog() -> Iterator[str]:
    """Yield the URL of a port that lets nobody in any more, and refuses nobody."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
            waiting.append(one)
        time.sleep(0.05)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            for one in waiting:
                one.close()


def _read_head(reader: BinaryIO) -> bytes:
    lines = []
    while (line := reader.readline()) not in (b"\r\n", b""):
        lines.append(line)
    return b"".join(lines)


def _fields(head: bytes) -> Iterator[tuple[bytes, bytes]]:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name:
            yield name.lower(), value.strip()


def _read_body(connection: socket.socket, reader: BinaryIO, head: bytes, size: int) -> bytes:
    if (b"expect", b"100-continue") in set(_fields(head)):
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    return reader.read(size)


def _answer_badly(connection: socket.socket, reader: BinaryIO, fault: str, head: bytes) -> bool:
    """Answer; return whether the connection can be used again."""
    if fault == "throttle":
        connection.sendall(_throttle(head))
        return True
    if fault == "cut":
        connection.sendall(HEAD + b'{"Succ')
    elif fault == "drip":
        connection.sendall(HEAD)
        while True:  # until the connection is closed
            connection.sendall(b" ")
            time.sleep(DRIP_S)
    else:
        reader.read(1)  # until the connection is closed
    return False


def _throttle(head: bytes) -> bytes:
    if b"x-amz-target" in head.lower():  # the JSON protocols: SQS, DynamoDB, EventBridge
        is_table = b"DynamoDB" in head
        code = b"ProvisionedThroughputExceeded" if is_table else b"Throttling"
        body = b'{"__type": "%sException", "message": "slow down"}' % code
        status = b"400 Bad Request"
    else:
        status, body = b"503 Slow Down", b"<Error><Code>SlowDown</Code></Error>"
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
