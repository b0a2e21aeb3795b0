"""Ask the server of this container whether it is ready; end with 0 if so, else with 1 and a line.

The containers' health check: `python -I -S handler/hosts/health.py`. It runs every half minute
beside the server, so it imports nothing of the handler: 19 ms of CPU and 10 MB, where urllib and
the server's own module take 240 ms and 59 MB.
"""

import _socket  # what `socket` wraps: with the wrapper and its enums: 28 ms, 11 MB
import os
import sys
import time

PORT_VARIABLES = ("AIP_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT", "PORT")  # the first that is set
TIMEOUT_S = 4  # ends before Docker's own five seconds, so that its log has a line of ours
REQUEST = b"GET /v2/health/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
MAX_LINE = 100  # bytes; the line is `HTTP/1.1 200 OK`


def main() -> int:
    """Return 0 where the server answers that it is ready; else 1."""
    port = next(filter(None, map(os.environ.get, PORT_VARIABLES)), "8080")
    try:
        line = read_status(int(port))
    except (OSError, ValueError, OverflowError) as error:
        line = str(error)
    is_ready = line.startswith(("HTTP/1.1 200", "HTTP/1.0 200"))
    if not is_ready:
        print(f"port {port}: {line or 'no answer'}")
    return 0 if is_ready else 1


def read_status(port: int) -> str:
    """Return the first line of the answer.

    Raises:
        OSError: Nothing listens, or no line came in time.
    """
    deadline = time.monotonic() + TIMEOUT_S
    connection = _socket.socket()
    connection.settimeout(TIMEOUT_S)
    connection.connect(("127.0.0.1", port))
    connection.sendall(REQUEST)
    line = b""
    while b"\n" not in line and len(line) < MAX_LINE:
        # The limit is for the whole line: a server that drips hangs too.
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        piece = connection.recv(MAX_LINE)
        if not piece:
            break
        line += piece
    return line.split(b"\r")[0].decode("latin-1")


if __name__ == "__main__":
    sys.exit(main())
