"""A server on loopback that speaks the OpenAI-compatible chat API, well or badly."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-nobody-may-see-this-key"


def completion(answer: Any, content: Any = None, **choice: Any) -> dict[str, Any]:
    """Return a chat completion; `content` are the tokens with their log-probabilities."""
    logprobs = None if content is None else {"content": content}
    return {"choices": [{"message": {"content": answer}, "logprobs": logprobs, **choice}]}


def token(text: str, logprob: float, **others: float) -> dict[str, Any]:
    """Return one token of an answer, and those that might have stood there."""
    top = [{"token": name, "logprob": value} for name, value in others.items()]
    return {"token": text, "logprob": logprob, "top_logprobs": top}


class ChatServer:
    """What was asked, and what is answered.

    Attributes:
        answer: Gets the user's text and the document; returns (status, document or bytes, headers),
            or "hang", "drip", "cut" or "reset".
        asked: The user's text of each request, in order.
        times: When each came, seconds.
        headers: Of each request.
    """

    def __init__(self) -> None:
        self.answer: Callable[[str, dict[str, Any]], Any] = lambda text, document: (
            200,
            completion("pos" if "good" in text else "neg"),
            {},
        )
        self.asked: list[str] = []
        self.documents: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.num_open = self.most_open = 0
        self.lock = threading.Lock()
        self.is_over = threading.Event()
        self.url = ""


@contextmanager
def chat_server() -> Iterator[ChatServer]:
    """Yield a server that runs while the block does; it knows texts with "good" in them as pos."""
    state = ChatServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            text = document["messages"][-1]["content"]
            with state.lock:
                state.asked.append(text)
                state.documents.append(document)
                state.times.append(time.monotonic())
                state.headers.append(dict(self.headers))
                state.paths.append(self.path)
                state.num_open += 1
                state.most_open = max(state.most_open, state.num_open)
            try:
                with suppress(OSError):
                    self.reply(state.answer(text, document))
            finally:
                with state.lock:
                    state.num_open -= 1

        def do_GET(self) -> None:  # what a redirect that is followed would ask
            state.paths.append(f"GET {self.path}")
            self.reply((200, completion("pos"), {}))

        def reply(self, answer: Any) -> None:
            self.close_connection = True
            if answer == "hang":
                state.is_over.wait(60)
            elif answer == "reset":
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            elif answer == "cut":
                self.send_response(200)
                self.send_header("Content-Length", "999")
                self.end_headers()
                self.wfile.write(b'{"choices": [{"mess')
            elif answer == "drip":
                self.send_response(200)
                self.send_header("Content-Length", "100000")
                self.end_headers()
                while not state.is_over.wait(0.02):
                    self.wfile.write(b" ")
            else:
                status, content, headers = answer
                content = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield state
    finally:
        state.is_over.set()
        server.shutdown()
        server.server_close()
        serving.join()
