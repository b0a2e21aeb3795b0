"""A server on loopback that publishes one file, in good and bad ways."""

import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Publisher:
    """One file and how it is given.

    Args:
        content: The file.
        name: Its path below the address.
        cuts: Bytes after which each of the next answers is cut, in turn.
        has_ranges: Parts can be asked for.
        shift: By which the ranges that are given lie behind those that were asked for.
        statuses: Of the next answers, without content.
    """

    content: bytes
    name: str
    cuts: list[int] = field(default_factory=list)
    has_ranges: bool = True
    shift: int = 0
    statuses: list[int] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    address: str = ""

    @property
    def url(self) -> str:
        return f"{self.address}/{self.name}"


@contextmanager
def publishing(publisher: Publisher) -> Iterator[Publisher]:
    """Serve until the block ends; `requests` gets the path and range of each request."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            wanted = self.headers.get("Range", "")
            publisher.requests.append(f"{self.path} {wanted}".strip())
            if publisher.statuses or self.path != f"/{publisher.name}":
                self.send_error(publisher.statuses.pop(0) if publisher.statuses else 404)
                return
            size, begin = len(publisher.content), 0
            if publisher.has_ranges and (found := re.fullmatch(r"bytes=(\d+)-", wanted)):
                begin = int(found[1]) + publisher.shift
                if begin >= size:
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {begin}-{size - 1}/{size}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(size - begin))
            self.end_headers()
            end = begin + publisher.cuts.pop(0) if publisher.cuts else size
            self.wfile.write(publisher.content[begin:end])

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        publisher.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield publisher
        finally:
            server.shutdown()
            thread.join()
