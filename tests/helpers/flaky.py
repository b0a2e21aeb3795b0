"""A proxy before a real server that spoils a share of its calls, as a bad hour of AWS does.

Throttled and 500: the call does not arrive. Lost: it arrives and is done, and the connection
closes before the reply, as where a client times out; only a repeat that is harmless survives it.
"""

from __future__ import annotations

import http.client
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FAULTS = ("throttled", "error", "lost")


@contextmanager
def flaky_proxy(url: str, share: float, seed: int = 7) -> Iterator[tuple[str, list[str]]]:
    """Yield the proxy's URL and the list of faults so far; `share` of the calls are spoiled."""
    faults: list[str] = []
    choices = random.Random(seed)
    port = int(url.rsplit(":", 1)[-1])

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = choices.choice(FAULTS) if choices.random() < share else ""
            if fault:
                faults.append(fault)
            if fault == "throttled":
                self.throttle()
            elif fault == "error":
                self.reply(500, b"")
            else:
                status, content, headers = self.forward(body)
                if fault == "lost":
                    self.close_connection = True
                else:
                    self.reply(status, content, headers)

        def throttle(self) -> None:
            if self.headers.get("X-Amz-Target"):  # the JSON protocols: SQS, DynamoDB, EventBridge
                self.reply(400, b'{"__type": "ThrottlingException", "message": "slow down"}')
            else:
                self.reply(503, b"<Error><Code>SlowDown</Code><Message>slow down</Message></Error>")

        def forward(self, body: bytes) -> tuple[int, bytes, Any]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            try:
                connection.request(self.command, self.path, body, dict(self.headers))
                reply = connection.getresponse()
                return reply.status, reply.read(), reply.getheaders()
            finally:
                connection.close()

        def reply(self, status: int, content: bytes, headers: Any = ()) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.daemon_threads = True
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", faults
    finally:
        server.shutdown()
        server.server_close()
        serving.join()
