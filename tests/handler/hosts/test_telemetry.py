"""What a server sends by OpenTelemetry's protocol, to a receiver on loopback."""

import socket

import httpx
import pytest

from handler.errors import SettingsError
from handler.hosts.telemetry import CLOSE_S, check_telemetry
from tests.helpers.otlp import receive_otlp
from tests.helpers.profiles import write_profiled_bundle
from tests.helpers.served import serve_bundle

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACE = f"00-{TRACE_ID}-{PARENT_ID}-01"


@pytest.fixture(scope="module")
def profiled(tiny_bundle, tmp_path_factory):
    return write_profiled_bundle(tiny_bundle, tmp_path_factory.mktemp("profiled") / "bundle")


@pytest.fixture
def received(profiled, request):
    """What a server has sent, and its log, after some requests."""
    with receive_otlp() as receiver:
        told = {"MINNOW_OTLP": "on", "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
        told |= {"MINNOW_PROFILE_EVERY": "50"}
        with serve_bundle(profiled, workers=request.param, **told) as served:
            with httpx.Client(base_url=served.url) as client:
                for _ in range(100):
                    client.post("/predict", json={"text": "good film"})
                client.post("/predict", json={"text": "bad"}, headers={"traceparent": TRACE})
                client.post("/predict", json={"texts": 3})
            served.end()
        receiver.log = served.log
        yield receiver


@pytest.mark.slow
@pytest.mark.parametrize("received", [1, 2], indirect=True, ids=["one process", "two workers"])
def test_metrics_and_spans_of_all_processes_are_sent_until_the_end(received):
    assert received.services == {"minnow"}
    named = {"minnow__model": "tiny"}
    assert received.find("http.server.request.duration", minnow__operation="predict") == 102
    assert received.find("http.server.request.duration", http__response__status_code=422) == 1
    assert received.find("minnow.texts", **named) == 101
    assert received.find("minnow.predictions", **named, minnow__label="pos") == 100
    assert received.find("minnow.predictions", **named, minnow__label="neg") == 1
    label = {"minnow__feature": "label", "minnow__version": "1"}
    assert received.find("minnow.profile.texts", **named, **label, minnow__bin="pos") == 100
    assert received.find("minnow.drift", **named) >= 1

    assert len(received.spans) == 102
    assert {span.name for span in received.spans} == {"POST predict"}
    (traced,) = (span for span in received.spans if span.trace_id.hex() == TRACE_ID)
    assert traced.parent_span_id.hex() == PARENT_ID
    assert 0 < traced.end_time_unix_nano - traced.start_time_unix_nano < 10**9


@pytest.mark.slow
@pytest.mark.parametrize("received", [1], indirect=True)
def test_each_request_is_logged_with_the_trace_of_its_span(received):
    logged = [line["trace_id"] for line in received.log if line["message"] == "request"]

    assert logged == [span.trace_id.hex() for span in received.spans]
    assert len(set(logged)) == 102


@pytest.mark.slow
def test_a_receiver_that_does_not_answer_delays_no_request(profiled):
    told = {"MINNOW_OTLP": "on", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    told |= {"OTEL_EXPORTER_OTLP_TIMEOUT": "1", "OTEL_BSP_SCHEDULE_DELAY": "10"}

    with serve_bundle(profiled, **told) as served:
        for _ in range(5):
            answer = httpx.post(f"{served.url}/predict", json={"text": "good"}, timeout=5)
            assert answer.status_code == 200
            assert answer.elapsed.total_seconds() < 1
        passed_s = served.end()
        log, served.log = served.log, []

    assert passed_s < 10  # when containers are killed
    messages = [line["message"] for line in log if line["level"] == "error"]
    assert messages
    assert all("export" in message for message in messages)


@pytest.mark.slow
def test_a_receiver_that_is_silent_does_not_hold_the_end(profiled):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with serve_bundle(profiled, MINNOW_OTLP="on", OTEL_EXPORTER_OTLP_ENDPOINT=url) as served:
            httpx.post(f"{served.url}/predict", json={"text": "good"}, timeout=5)
            passed_s = served.end()

    assert passed_s < CLOSE_S + 2  # of 10 in which it would wait for an answer, and again


@pytest.mark.parametrize(("value", "is_on"), [("", False), ("off", False)])
def test_it_is_off_unless_asked_for(value, is_on):
    assert check_telemetry(value) == is_on


def test_another_value_is_refused():
    with pytest.raises(SettingsError, match="MINNOW_OTLP is 'yes', wanted on or off"):
        check_telemetry("yes")


def test_what_it_needs_is_named_where_it_is_not_installed(monkeypatch):
    monkeypatch.setattr("handler.hosts.telemetry.NEEDED", ("opentelemetry_not_here.sdk",))

    with pytest.raises(SettingsError, match=r'pip install "minnow-maas\[otlp\]"'):
        check_telemetry("on")
