"""HTTP byte by byte: requests that no client library would send, and what comes back."""

import re
import socket

WAIT_S = 20
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
LENGTH = re.compile(rb"content-length: (\d+)\r\n", re.IGNORECASE)
NEXT = b"GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)


def read_all(connection):
    """Return all that comes until the other side ends; what came before a reset counts too."""
    answer = b""
    try:
        while chunk := connection.recv(65536):
            answer += chunk
    except ConnectionError:
        pass
    return answer


def read_statuses(answer):
    """Return the status of each response, none of which has a body in chunks."""
    statuses = []
    while answer:
        head, _, rest = answer.partition(b"\r\n\r\n")
        match = STATUS.match(head)
        assert match, "what came is no response"
        statuses.append(int(match[1]))
        length = LENGTH.search(head + b"\r\n")
        answer = rest[int(length[1]) if length else 0 :]
    return statuses


def talk(port, *pieces):
    """Send pieces one by one; return the statuses of the answers until the connection ends."""
    with connect(port) as connection:
        for piece in pieces:
            try:
                connection.sendall(piece)
            except ConnectionError:
                break
        return read_statuses(read_all(connection))


def stays_open(port, *pieces):
    """Return (the statuses of the answers, whether one more request on the connection is answered
    as one more: whether both sides agree where the requests before it ended)."""
    statuses = talk(port, *pieces, NEXT)
    return (statuses[:-1], True) if len(statuses) > 1 and statuses[-1] == 200 else (statuses, False)
