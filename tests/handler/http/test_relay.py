"""What only a server meets: bodies that come slowly, too many at a time, its environment."""

import contextlib
import json
import re
import socket
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

from handler.errors import SettingsError
from handler.hosts.server import main, read_device, read_port
from handler.http.relay import MAX_GATHERED
from handler.http.service import Service
from handler.inference.monitor import Monitor
from handler.settings import HttpSettings, Limits, Settings, read_settings
from tests.helpers.http_service import Server, make_models
from tests.helpers.raw_http import connect

ROOT = Path(__file__).parents[3]
HEAD = b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{"


def post_until(server, status):
    """Send requests until one gets `status`: what happens on another socket takes its time."""
    for _ in range(200):
        response = httpx.post(f"{server.url}/predict", json={"text": "good"})
        if response.status_code == status:
            return response
        time.sleep(0.05)
    raise AssertionError(f"no answer had status {status}")


def test_a_body_too_many_gets_503_and_probes_still_answer(make_service):
    with Server(make_service(max_concurrency=1)) as server:
        host, port = server.address.split(":")
        with socket.create_connection((host, int(port))) as slow:
            slow.sendall(HEAD)
            refused = post_until(server, 503)
            probe = httpx.get(f"{server.url}/health")
        post_until(server, 200)

    assert refused.headers["retry-after"] == "1"
    assert probe.status_code == 200
    problems = [line.get("problem") for line in server.service.lines]
    assert "the client left before the body ended" in problems


class Watched:
    """A classifier that notes what is predicted together, and fails on a text, alone or not."""

    def __init__(self, classifier, bad_text=None):
        self._classifier = classifier
        self._bad_text = bad_text
        self.runs = []
        self.threads = []

    def __getattr__(self, name):
        return getattr(self._classifier, name)

    def predict(self, texts):
        self.runs.append(len(texts))
        self.threads.append(threading.current_thread().name)
        if self._bad_text in texts:
            raise RuntimeError("a text that no model reads")
        return self._classifier.predict(texts)


def ask_together(service, bodies):
    """Send every body on a connection of its own before the server reads one; return answers."""
    with Server(service) as server, contextlib.ExitStack() as stack:
        port = int(server.address.split(":")[1])
        clients = [stack.enter_context(connect(port)) for _ in bodies]
        for _ in range(3):  # rounds, since the first may come before all have connected
            for client, body in zip(clients, bodies, strict=True):
                head = b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
                client.sendall(head + b"content-length: %d\r\n\r\n" % len(body) + body)
            answers = [client.recv(65536) for client in clients]
    return [(int(each[9:12]), json.loads(each.partition(b"\r\n\r\n")[2])) for each in answers]


def test_requests_that_come_together_are_predicted_together_and_each_gets_its_own(
    tiny_classifier,
):
    watched = Watched(tiny_classifier)
    texts = [["good"], ["bad"], ["good film", "bad thing"], ["bad"], ["thing"], ["good", "bad"]]

    answers = ask_together(
        Service(make_models(watched, Limits(), Monitor()), Settings()),
        [json.dumps({"texts": each}).encode() for each in texts * 4],
    )

    assert [status for status, _ in answers] == [200] * 24
    for (_, answer), each in zip(answers, texts * 4, strict=True):
        alone = [tiny_classifier.predict([text])[0].outputs for text in each]
        scores = [list(one["scores"].values()) for one in answer["predictions"]]
        np.testing.assert_allclose(scores, alone, rtol=0, atol=2e-2)  # int8 of another batch
    assert max(watched.runs) > 2
    assert max(watched.runs) <= 2 * MAX_GATHERED


def test_a_request_that_fails_harms_none_that_came_with_it(tiny_classifier):
    watched = Watched(tiny_classifier, bad_text="film")
    bodies = [b'{"text":"good"}', b'{"text":"film"}', b'{"text":1}', b"{", b'{"text":"bad"}'] * 3

    answers = ask_together(Service(make_models(watched, Limits(), Monitor()), Settings()), bodies)

    assert [status for status, _ in answers] == [200, 500, 422, 400, 200] * 3
    labels = [answer["predictions"][0]["label"] for status, answer in answers if status == 200]
    assert labels == ["pos", "neg"] * 3


@pytest.mark.parametrize("line_end", ["\n", "\r", "\r\n"])
def test_many_short_texts_keep_no_probe_waiting(tiny_classifier, line_end):
    watched = Watched(tiny_classifier)

    with Server(Service(make_models(watched, Limits(), Monitor()), Settings())) as server:
        url, headers = f"{server.url}/invocations", {"content-type": "text/csv"}
        answer = httpx.post(url, content=f"good{line_end}" * 40, headers=headers)

    assert answer.status_code == 200
    assert watched.runs == [40]
    assert watched.threads == ["minnow-large_0"]


def test_a_body_that_stops_coming_gets_408(make_service, monkeypatch):
    monkeypatch.setattr("handler.http.relay.BODY_TIMEOUT_S", 0.2)
    with Server(make_service()) as server:
        host, port = server.address.split(":")
        with socket.create_connection((host, int(port))) as slow:
            slow.sendall(HEAD)
            answer = b""
            while b"within 0.2 s" not in answer:
                answer += slow.recv(65536)

    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    ("environment", "port"),
    [
        ({}, 8080),
        ({"PORT": "80"}, 80),
        ({"PORT": "80", "SAGEMAKER_BIND_TO_PORT": "81"}, 81),
        ({"PORT": "80", "AIP_HTTP_PORT": "7080"}, 7080),
    ],
)
def test_the_platform_chooses_the_port(environment, port):
    assert read_port(environment) == port


@pytest.mark.parametrize("value", ["0", "65536", "x", "-1", "²"])
def test_a_port_that_is_none_is_refused(value):
    with pytest.raises(SettingsError, match="PORT is '.*', wanted a port, 1 to 65535"):
        read_port({"PORT": value})


def test_only_known_devices_are_taken():
    assert [read_device({}), read_device({"MINNOW_DEVICE": "cuda"})] == ["cpu", "cuda"]
    with pytest.raises(SettingsError, match="MINNOW_DEVICE is 'tpu', wanted one of cpu, cuda"):
        read_device({"MINNOW_DEVICE": "tpu"})


def test_a_container_that_cannot_start_says_why_in_one_line(tmp_path, capsys):
    assert main({"MINNOW_BUNDLE": str(tmp_path / "none")}) == 1

    assert capsys.readouterr().err.count("\n") == 1


def test_a_gpu_that_is_not_there_stops_the_start_in_one_line(tiny_bundle, capsys):
    assert main({"MINNOW_BUNDLE": str(tiny_bundle), "MINNOW_DEVICE": "cuda", "PORT": "1"}) == 1

    error = capsys.readouterr().err
    assert "found no CUDAExecutionProvider" in error
    assert error.count("\n") == 1


def test_the_environment_sets_everything_of_the_service():
    digest = "a" * 64
    environment = {
        "MINNOW_MAX_TEXTS": "1",
        "MINNOW_MAX_CHARACTERS": "2",
        "MINNOW_MAX_BODY_BYTES": "3",
        "MINNOW_MAX_EXPLAINED_TOKENS": "4",
        "MINNOW_API_KEYS": f"shop:{digest}, {digest}",
        "MINNOW_CORS_ORIGINS": "https://a.example, https://b.example",
        "MINNOW_RATE_LIMIT": "5",
        "MINNOW_MAX_CONCURRENCY": "6",
        "AIP_PREDICT_ROUTE": "/p",
        "AIP_HEALTH_ROUTE": "/h",
    }

    settings = read_settings(environment)

    assert settings.limits == Limits(1, 2, 3, 4)
    assert settings.http == HttpSettings(
        api_keys={"shop": digest, "aaaaaaaa": digest},
        cors_origins=("https://a.example", "https://b.example"),
        rate_limit=5,
        max_concurrency=6,
        predict_route="/p",
        health_route="/h",
    )


def test_every_variable_stands_in_the_documentation_with_its_default():
    code = "".join(path.read_text() for path in (ROOT / "handler").rglob("*.py"))
    text = (ROOT / "docs" / "http.md").read_text()
    names = set(re.findall(r'"(MINNOW_(?:MAX|API|CORS|RATE|DEVICE|BASE|WORKERS)[A-Z_]*)"', code))

    assert len(names) == 11
    assert {name for name in names if f"`{name}" not in text} == set()
    for name, value in (("TEXTS", Limits().max_texts), ("CHARACTERS", Limits().max_characters)):
        assert f"| `MINNOW_MAX_{name}` | {value} |" in text
