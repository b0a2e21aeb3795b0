"""A service over the tiny model, called in process or behind a real uvicorn on loopback."""

import json
import socket
import threading
import time
from types import SimpleNamespace

from handler.hosts.listener import make_server
from handler.http.app import create_app
from handler.http.messages import Request
from handler.http.service import Service
from handler.inference.models import Model, Models
from handler.inference.monitor import Monitor
from handler.inference.prometheus import Prometheus
from handler.settings import HttpSettings, Limits, Settings

LIMITS = Limits(max_texts=4, max_characters=100, max_body_bytes=2000, max_explained_tokens=8)


def make_models(classifier, limits=LIMITS, monitor=None):
    return Models([Model(classifier, limits, monitor)])


def make_service(classifier, limits=LIMITS, is_lambda=False, **http):
    """Return a service; what it logs is in `.lines`, parsed."""
    lines = []
    monitor = Monitor(
        lambda line: lines.append(json.loads(line)),
        prometheus=None if is_lambda else Prometheus(),
        embeds_metrics=is_lambda,
    )
    settings = Settings(limits=limits, http=HttpSettings(**http))
    service = Service(make_models(classifier, limits, monitor), settings)
    service.lines = lines
    return service


def caller(service):
    def call(method, path, body=b"", **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, dict | list):
            body = json.dumps(body).encode()
            headers.setdefault("content-type", "application/json")
        response = service.respond(Request(method, path, headers, body))
        is_plain = "content-encoding" not in response.headers
        is_json = is_plain and response.content_type.endswith("json") and response.body
        return SimpleNamespace(
            status=response.status,
            body=response.body,
            json=json.loads(response.body) if is_json else None,
            type=response.content_type,
            headers=response.headers,
        )

    return call


class Server:
    """A real uvicorn on loopback, in a thread."""

    def __init__(self, service, create_app=create_app):
        self.service = service
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.url = f"http://{self.address}"
        app = create_app(service)
        self._server = make_server(app, drain=getattr(app, "drain", lambda: None))
        self._server.config.timeout_graceful_shutdown = 1
        self._thread = threading.Thread(target=self._server.run, args=([self.socket],))

    def __enter__(self):
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def end(self):
        """Tell it to end, as a signal does."""
        self._server.should_exit = True

    def __exit__(self, *error):
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join()
        self.socket.close()


def add_route(service):
    """Return the application with a route of its user's."""
    app = create_app(service)

    @app.get("/mine")
    def mine() -> str:
        return "good"

    return app
