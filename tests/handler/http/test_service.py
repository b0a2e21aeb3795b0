"""What all operations share: keys, limits a second, ids, CORS, compression, logs, metrics."""

import gzip
import hashlib
import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from handler.errors import ArtefactError
from handler.http.auth import RateLimit
from handler.http.compression import accepts_gzip
from handler.http.messages import Refusal
from handler.http.operations import OPERATIONS
from handler.inference.prometheus import BUCKETS_MS
from handler.settings import Limits
from tests.helpers.http_cases import ANSWERS, HOSTILE, PLACES, REFUSALS, name_case
from tests.helpers.http_service import caller

KEYS = {
    "shop": hashlib.sha256(b"key-of-the-shop").hexdigest(),
    "lab": hashlib.sha256(b"key-of-the-lab").hexdigest(),
}
GOOD = {"text": "good film"}


@pytest.mark.parametrize("case", [*ANSWERS, *REFUSALS], ids=name_case)
def test_every_answer_has_the_headers_that_browsers_and_logs_need(service, case):
    status, method, path, body, headers = case
    response = caller(service)(method, path, body, **headers)

    if path == "/metrics":
        status = 200  # here, in a server
    assert response.status == status
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    assert response.headers["cross-origin-resource-policy"] == "same-origin"
    assert "camera=()" in response.headers["permissions-policy"]
    assert len(response.headers["x-request-id"]) == 36


@pytest.mark.parametrize("case", [c for c in REFUSALS if c[2] != "/metrics"], ids=name_case)
def test_a_refusal_has_its_protocols_shape(service, case):
    status, method, path, body, headers = case

    response = caller(service)(method, path, body, **headers)

    is_hugging_face = path == "/" or (path.startswith("/models/") and "/invoke" not in path)
    if path.startswith(("/v1/", "/v2")) or (is_hugging_face and method == "POST"):
        assert list(response.json) == ["error"]
    else:
        assert response.type == "application/problem+json"
        assert list(response.json)[:4] == ["type", "title", "status", "detail"]
        assert response.json["status"] == status


@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("status", "places", "value"), HOSTILE, ids=[f"{h[0]} {h[2][:12]}" for h in HOSTILE]
)
def test_every_protocol_refuses_hostile_json(make_service, path, packed, status, places, value):
    service = make_service(limits=Limits())
    call = caller(service)
    body = (places[path] % value).encode()
    headers = {"content-type": "application/json"}
    if packed:
        body, headers["content-encoding"] = gzip.compress(body, 1), "gzip"

    response = call("POST", path, body, **headers)

    assert response.status == status
    assert len(response.body) < 300
    assert call("POST", path, (PLACES[path] % '"good"').encode()).status == 200


@pytest.mark.parametrize("path", PLACES)
def test_every_protocol_refuses_a_gzip_bomb(make_service, path):
    bomb = gzip.compress(b"0" * 200_000_000, 1)

    response = caller(make_service(limits=Limits()))("POST", path, bomb, content_encoding="gzip")

    assert response.status == 413


def test_a_limit_is_told_with_what_was_received(call):
    response = call("POST", "/predict", {"texts": ["good", "a" * 101]})

    assert response.json == {
        "type": "about:blank",
        "title": "Too much in one request",
        "status": 413,
        "detail": "texts[1] has 101 characters, the limit is 100",
        "field": "texts[1]",
        "limit": 100,
        "received": 101,
    }


def test_405_says_what_is_allowed(call):
    assert call("DELETE", "/predict").headers["allow"] == "POST"
    assert call("DELETE", "/").headers["allow"] == "GET, POST, HEAD"


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer key-of-the-shop"},
        {"authorization": "bearer  key-of-the-shop "},
        {"x-api-key": "key-of-the-lab"},
    ],
)
def test_a_known_key_is_let_in_and_named_in_the_log(make_service, headers):
    service = make_service(api_keys=KEYS)

    response = caller(service)("POST", "/predict", GOOD, **headers)

    assert response.status == 200
    assert service.lines[-1]["caller"] in ("shop", "lab")
    assert "key-of" not in json.dumps(service.lines)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer "},
        {"authorization": "Basic key-of-the-shop"},
        {"authorization": "Bearer key-of-the-shop2"},
        {"authorization": "Bearer " + KEYS["shop"]},
        {"x-api-key": "\udce9\u00e9"},
    ],
)
def test_without_a_known_key_only_probes_and_pages_answer(make_service, headers):
    call = caller(make_service(api_keys=KEYS))
    statuses = {}

    for operation in OPERATIONS:
        path = operation.path.format(name="tiny", version="1")
        statuses[operation.name] = call(operation.method, path, **headers).status

    is_open = {name for name, status in statuses.items() if status != 401}
    assert is_open == {o.name for o in OPERATIONS if o.is_open}
    assert is_open >= {"health", "ping", "oip_live", "oip_ready", "page", "docs"}
    assert call("POST", "/predict", **headers).headers["www-authenticate"].startswith("Bearer")


def test_an_open_service_says_so_once(make_service):
    service = make_service()
    for _ in range(3):
        caller(service)("GET", "/health")

    warnings = [line for line in service.lines if line["level"] == "warning"]
    assert len(warnings) == 1
    assert "no MINNOW_API_KEYS" in warnings[0]["message"]
    assert make_service(api_keys=KEYS).lines == []


def test_a_rate_is_limited_for_each_key(make_service):
    call = caller(make_service(api_keys=KEYS, rate_limit=1))

    statuses = [
        call("POST", "/predict", GOOD, x_api_key=f"key-of-the-{name}").status
        for name in ("shop", "shop", "shop", "lab")
    ]
    refused = call("POST", "/predict", GOOD, x_api_key="key-of-the-shop")

    assert statuses == [200, 200, 429, 200]
    assert refused.headers["retry-after"] == "1"
    assert call("GET", "/health").status == 200


def test_a_rate_limit_fills_up_again_with_time():
    now = [0.0]
    limit = RateLimit(10, lambda: now[0])
    for _ in range(20):
        limit.check("a")
    with pytest.raises(Refusal, match="the limit is 10 requests a second"):
        limit.check("a")

    now[0] = 0.1

    limit.check("a")
    with pytest.raises(Refusal):
        limit.check("a")


def test_a_server_that_computes_wrongly_is_not_ready(make_service, monkeypatch):
    def fail(self):
        raise ArtefactError("manifest.json: the golden text's probabilities are off by 0.5")

    call = caller(make_service())
    monkeypatch.setattr("handler.inference.classifier.Classifier.check_golden", fail)

    for path in ("/v2/health/ready", "/v2/models/tiny/ready"):
        response = call("GET", path)
        assert (response.status, response.headers["retry-after"]) == (503, "30")
        assert "golden" in response.json["error"]
    assert call("GET", "/v2/health/live").status == 200


@pytest.mark.parametrize("given", ["abc-1", "Root=1-5759e988-bd862e3fe1be46a994272793"])
def test_a_clients_request_id_comes_back_and_is_logged(service, given):
    response = caller(service)("GET", "/health", x_request_id=given)

    assert response.headers["x-request-id"] == given
    assert service.lines[-1]["request_id"] == given


@pytest.mark.parametrize("given", ["", "a b", "a\r\nset-cookie: x", "é", "a" * 129, '"}'])
def test_an_id_that_could_break_a_header_or_a_log_is_replaced(service, given):
    response = caller(service)("GET", "/health", x_request_id=given)

    assert len(response.headers["x-request-id"]) == 36


def test_a_failure_is_a_500_that_tells_nothing_and_logs_its_place(service, monkeypatch):
    def fail(self, texts):
        raise RuntimeError(f"no {texts}")

    monkeypatch.setattr("handler.inference.classifier.Classifier.predict", fail)
    response = caller(service)("POST", "/predict", {"text": "my diary"})

    assert response.status == 500
    assert response.json["detail"] == "see the log, by x-request-id"
    assert service.lines[-1]["level"] == "error"
    assert service.lines[-1]["problem"].startswith("RuntimeError at fail:")
    assert "diary" not in json.dumps(service.lines)


def test_no_text_is_logged_whatever_is_sent(service):
    call = caller(service)
    for body in ({"text": "diary"}, {"texts": ["diary", 1]}, {"diary": 1}, {"text": "diary" * 99}):
        call("POST", "/predict", body)
    call("GET", "/diary")
    call("DIARY", "/predict")
    call("POST", "/predict", b"diary", content_type="application/json", x_request_id="my diary")

    assert "diary" not in json.dumps(service.lines).lower()


@pytest.mark.parametrize("origins", [(), ("https://a.example",), ("*",)])
@pytest.mark.parametrize("origin", ["https://a.example", "https://b.example", "null"])
def test_a_browser_of_another_origin_is_let_in_only_where_configured(make_service, origins, origin):
    call = caller(make_service(cors_origins=origins))
    expected = "*" if "*" in origins else origin if origin in origins else None

    plain = call("POST", "/predict", GOOD, origin=origin)
    refused = call("POST", "/predict", {}, origin=origin)
    preflight = call("OPTIONS", "/predict", origin=origin, access_control_request_method="POST")

    for response in (plain, refused, preflight):
        assert response.headers.get("access-control-allow-origin") == expected
        assert "access-control-allow-credentials" not in response.headers
    assert preflight.status == (204 if expected else 405)
    assert ("origin" in plain.headers.get("vary", "")) == bool(origins)


@pytest.mark.parametrize(
    ("accepted", "is_taken"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("*", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
    ],
)
def test_gzip_is_used_only_where_it_is_taken(make_service, accepted, is_taken):
    call = caller(make_service(limits=Limits()))
    response = call("POST", "/predict", {"texts": ["good"] * 20}, accept_encoding=accepted)
    plain = call("POST", "/predict", {"texts": ["good"] * 20})

    assert accepts_gzip(accepted) == is_taken
    assert response.headers.get("content-encoding") == ("gzip" if is_taken else None)
    assert (gzip.decompress(response.body) if is_taken else response.body) == plain.body


def test_a_log_line_counts_texts_tokens_and_labels(service):
    caller(service)("POST", "/predict", {"texts": ["good film", "bad thing", "a " * 20]})

    line = service.lines[-1]
    assert line.pop("latency_ms") > 0
    assert line.pop("timestamp") > 0
    assert len(line.pop("request_id")) == 36
    assert line == {
        "level": "info",
        "message": "request",
        "operation": "predict",
        "model": "tiny",
        "method": "POST",
        "status": 200,
        "texts": 3,
        "truncated": 1,
        "tokens": 12,
        "unknown_tokens": 9,
        "labels": {"pos": 2, "neg": 1},
    }


def test_a_function_writes_embedded_metrics_that_name_fields_of_the_line(make_service):
    service = make_service(is_lambda=True)
    caller(service)("POST", "/predict", GOOD)
    caller(service)("POST", "/predict", {})

    for line, errors in zip(service.lines[-2:], (0, 1), strict=True):
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert line["_aws"]["Timestamp"] > 1_700_000_000_000
        assert directive["Namespace"] == "Minnow"
        assert all(isinstance(line[metric["Name"]], int | float) for metric in directive["Metrics"])
        assert {name for names in directive["Dimensions"] for name in names} <= line.keys()
        assert line["client_errors"] == errors


def test_prometheus_reads_the_metrics(call):
    call("POST", "/predict", {"texts": ["good film", "bad thing"]})
    call("POST", "/predict", {})
    text = call("GET", "/metrics").body.decode()

    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["minnow_requests_total", "200", "predict"] == 1
    assert samples["minnow_requests_total", "422", "predict"] == 1
    assert samples["minnow_predictions_total", "pos", "tiny"] == 1
    assert samples["minnow_tokens_total",] == 4
    assert samples["minnow_unknown_tokens_total",] == 1
    assert samples["minnow_request_duration_seconds_count", "predict"] == 2
    assert samples["minnow_request_duration_seconds_bucket", "+Inf", "predict"] == 2
    buckets = [v for k, v in samples.items() if k[0].endswith("_bucket")]
    assert buckets == sorted(buckets)
    assert len(buckets) == len(BUCKETS_MS) + 1


def test_vertexs_own_routes_are_answered(make_service):
    call = caller(make_service(predict_route="/predict", health_route="/is_well"))

    assert (
        call("POST", "/predict", {"instances": ["good"]}).json["predictions"][0]["label"] == "pos"
    )
    assert call("GET", "/is_well").status == 200


@pytest.mark.parametrize(
    ("accept", "content_type", "body", "answer"),
    [
        ("", "text/csv", b'"good, ""film"""\nbad,ignored\n', b"pos,0.88079702854156"),
        ("text/plain", "text/csv", b"good\nbad\n", b"pos\nneg\n"),
        ("application/jsonlines", "application/x-jsonlines", b'"bad"\n', b'{"label":"neg","score"'),
        ("*/*", "application/json; charset=utf-8", b'{"text":"good"}', b'{"model":{"name":"tiny"'),
        ("image/png, text/plain;q=0.5", "text/plain", b"good\nbad bad", b"neg\n"),
        ("text/csv", "application/json", b'{"instances":["bad"]}', b"neg,0.8807"),
    ],
)
def test_sagemaker_takes_and_gives_the_types_it_is_told(call, accept, content_type, body, answer):
    response = call("POST", "/invocations", body, accept=accept, content_type=content_type)

    assert response.status == 200
    assert response.body.startswith(answer)


@pytest.mark.parametrize("function", ["softmax", "sigmoid", "none"])
def test_hugging_face_scores_are_probabilities_or_their_log_odds(call, function):
    parameters = {"function_to_apply": function}
    response = call("POST", "/", {"inputs": ["good", "bad bad"], "parameters": parameters})

    expected = [2.0, 4.0] if function == "none" else [0.880797, 0.982014]
    best = [row[0]["score"] for row in response.json]
    assert best == pytest.approx(expected, abs=1e-4)
    assert [row[0]["label"] for row in response.json] == ["pos", "neg"]


@pytest.mark.parametrize(
    ("kind", "body", "detail"),
    [
        ("text/csv", b"\n" * 4_400_000, "more than 10000 rows"),
        ("text/csv", b"a\n" * 2_200_000, "257 texts, the limit is 256"),
        ("application/jsonlines", b"\n" * 4_400_000, "more than 10000 lines"),
        ("application/jsonlines", b'"a"\n' * 1000, "257 texts, the limit is 256"),
        ("application/json", b'{"texts":[' + b"1," * 150_000 + b"1]}", "more than 150000 values"),
        ("application/json", b'{"texts":[' + b"{}," * 150_000 + b"1]}", "more than 150000 values"),
        ("application/json", b'{"texts":[' + b"9" * 101 + b"]}", "a number that is too long"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_rows_and_values_have_a_number(make_service, kind, body, detail):
    call = caller(make_service(limits=Limits()))

    response = call("POST", "/invocations", body, content_type=kind)

    assert response.status == (400 if "number" in detail else 413)
    assert detail in response.json["detail"]


def test_empty_rows_and_lines_are_passed_over(make_service):
    call = caller(make_service(limits=Limits()))

    rows = call("POST", "/invocations", b"\n\ngood\n\nbad\n", content_type="text/csv")
    lines = call(
        "POST", "/invocations", b'\n\n"good"\n\r\n\n"bad"\n', content_type="application/jsonlines"
    )

    assert rows.body.count(b"\n") == 2
    assert lines.body.count(b"\n") == 2


def test_a_header_accept_without_end_costs_nothing(call):
    response = call("POST", "/invocations", {"text": "good"}, accept="a," * 16_000 + "*/*")

    assert response.status == 406
