"""Each wire format reads what its clients write, and names their own fields where it refuses."""

import json

import pytest

from handler.settings import Limits
from tests.helpers.http_cases import INFER
from tests.helpers.http_service import caller

VERTEX = "/v1/models/tiny:predict"
LONG = "a" * 101
BOM = b"\xef\xbb\xbf"
TENSOR = {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["good film"]}


def infer(data, **fields):
    return {"inputs": [{**TENSOR, "shape": [len(data)], "data": data}], **fields}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/predict", {"text": LONG}, "text"),
        ("/predict", {"text": 1}, "text"),
        ("/predict", {"text": None}, "text"),
        ("/predict", {"texts": ["a", LONG]}, "texts[1]"),
        ("/predict", {"texts": []}, "texts"),
        ("/predict", {"texts": ["a"] * 5}, "texts"),
        ("/predict", {"texts": None}, "texts"),
        ("/", {"inputs": LONG}, "inputs"),
        ("/", {"inputs": ["a", LONG]}, "inputs[1]"),
        ("/", {"inputs": []}, "inputs"),
        ("/", {"inputs": ["a"] * 5}, "inputs"),
        (VERTEX, {"instances": [LONG]}, "instances[0]"),
        (VERTEX, {"instances": ["a", {"text": LONG}]}, "instances[1].text"),
        (VERTEX, {"instances": [{"text": None}]}, "instances[0].text"),
        (VERTEX, {"instances": [["a"], [LONG]]}, "instances[1][0]"),
        (VERTEX, {"instances": [[["a"]]]}, "instances[0][0]"),
        (VERTEX, {"instances": [["a", "b"]]}, "instances[0]"),
        (VERTEX, {"instances": [[]]}, "instances[0]"),
        (VERTEX, {"instances": []}, "instances"),
        (VERTEX, {"instances": ["a"] * 5}, "instances"),
        (
            VERTEX,
            {"instances": ["a " * 5, "b " * 5], "parameters": {"explain": True}},
            "parameters.explain",
        ),
        ("/predict", {"texts": ["a " * 5, "b " * 5], "explain": True}, "explain"),
        ("/invocations", {"text": LONG}, "text"),
        ("/invocations", {"instances": [LONG]}, "instances[0]"),
        ("/invocations", {"instances": []}, "instances"),
        (INFER, infer(["a", LONG]), "inputs[0].data[1]"),
        (INFER, infer([["a"], [LONG]]), "inputs[0].data[1][0]"),
        (INFER, infer([]), "inputs[0].data"),
        (INFER, infer(["a"] * 5), "inputs[0].data"),
    ],
)
def test_a_refusal_names_the_field_that_was_sent(call, path, body, field):
    refusal = call("POST", path, body)

    assert refusal.status in (413, 422)
    detail = refusal.json.get("detail") or refusal.json["error"]
    assert detail.startswith((field + " ", field + ":"))
    assert refusal.json.get("field", field) == field


@pytest.mark.parametrize(
    ("kind", "body", "place"),
    [
        ("text/plain", LONG, "the body"),
        ("text/csv", f'a\n"b\nc"\n{LONG}\n', "row 3"),
        ("application/jsonlines", f'"a"\n\n"{LONG}"\n', "line 3"),
        ("application/jsonlines", '"a"\n{"text":1}\n', "line 2.text"),
        ("application/jsonlines", '"a"\n{"txt":"a"}\n', "line 2"),
        ("application/jsonlines", '"a"\n{"text"\n', "line 2"),
        ("application/jsonlines", '"a"\nNULL\n', "line 2"),
        ("text/csv", "a\n" * 5, "the body"),
    ],
)
def test_a_body_of_rows_is_refused_by_its_row(call, kind, body, place):
    refusal = call("POST", "/invocations", body.encode(), content_type=kind)

    assert refusal.status in (400, 413, 422)
    assert refusal.json["detail"].startswith((place + " ", place + ":"))
    assert "texts[" not in refusal.body.decode()


@pytest.mark.parametrize(
    ("path", "body", "wanted"),
    [
        ("/", {"top_k": 1}, "unknown field top_k; the fields are: inputs, parameters, options"),
        (
            "/",
            {"parameters": {"topk": 1}},
            "parameters: unknown field topk; the fields are: top_k, function_to_apply, "
            "return_all_scores, truncation, coverage",
        ),
        (
            "/",
            {"options": {"wait": True}},
            "options: unknown field wait; the fields are: wait_for_model, use_cache, use_gpu",
        ),
        (VERTEX, {"top_k": 1}, "unknown field top_k; the fields are: instances, parameters, sig"),
        (
            VERTEX,
            {"parameters": {"top_k": 1, "topk": 1}},
            "parameters: unknown field topk; the fields are: top_k, threshold, explain, coverage",
        ),
        (
            INFER,
            {"parameters": {"top_k": 1}},
            "parameters: unknown field top_k; the fields are: binary_data_output, content_type, "
            "coverage",
        ),
        (
            INFER,
            {"outputs": [{"name": "label", "parameters": {"classification": 2}}]},
            "outputs[0].parameters: unknown field classification; the fields are: binary_data, con",
        ),
        (
            INFER,
            {"inputs": [{**TENSOR, "parameters": {"binary_size": 2}}]},
            "inputs[0].parameters: unknown field binary_size; the fields are: binary_data_size, co",
        ),
    ],
)
def test_what_is_not_known_is_refused_by_name(call, path, body, wanted):
    plain = {"/": {"inputs": "good"}, VERTEX: {"instances": ["good"]}, INFER: infer(["good"])}

    refusal = call("POST", path, {**plain[path], **body})

    assert refusal.status == 400
    assert refusal.json["error"].startswith(wanted)


@pytest.mark.parametrize("name", ["a film about nothing", "x" * 41, "é", ""])
def test_a_name_that_may_be_a_text_is_not_shown(call, name):
    refusal = call("POST", "/", {"inputs": "good", "parameters": {name: 1}})

    assert refusal.json["error"].startswith("parameters: unknown field; the fields are: top_k")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/", {"options": {"wait_for_model": True, "use_cache": False, "use_gpu": None}}),
        ("/", {"parameters": {"return_all_scores": True, "truncation": True}}),
        (VERTEX, {"signature_name": "serving_default"}),
        (INFER, {"parameters": {"content_type": "str"}, "model_name": "tiny"}),
        (
            INFER,
            {"inputs": [{**infer(["good"])["inputs"][0], "parameters": {"content_type": "str"}}]},
        ),
        (INFER, {"parameters": {"own": None}}),
        ("/", {"parameters": {"own": None}, "own": None}),
    ],
)
def test_what_clients_send_as_a_matter_of_course_changes_nothing(call, path, body):
    plain = {"/": {"inputs": "good"}, VERTEX: {"instances": ["good"]}, INFER: infer(["good"])}

    assert call("POST", path, {**plain[path], **body}).body == call("POST", path, plain[path]).body


def test_not_all_scores_are_the_first_as_transformers_has_it(call):
    def ask(**parameters):
        return len(call("POST", "/", {"inputs": "good", "parameters": parameters}).json[0])

    assert ask(return_all_scores=False) == 1
    assert ask(return_all_scores=False, top_k=2) == 2
    assert ask(return_all_scores=True, top_k=1) == 1


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/", {"parameters": {"return_all_scores": 1}}, "parameters.return_all_scores is a number"),
        ("/", {"parameters": {"truncation": False}}, "parameters.truncation: wanted true"),
        (VERTEX, {"signature_name": 7}, "signature_name: wanted a string"),
        ("/", {"options": []}, "options is an array, wanted an object"),
        ("/", {"options": {"use_cache": "yes"}}, "options.use_cache is a string"),
        (INFER, {"parameters": {"binary_data_output": 1}}, "parameters.binary_data_output is a nu"),
        (INFER, {"parameters": {"content_type": "np"}}, 'parameters.content_type: wanted "str"'),
        (
            INFER,
            {"outputs": [{"name": "label", "parameters": {"binary_data": "no"}}]},
            "outputs[0].parameters.binary_data is a string, wanted true or false",
        ),
    ],
)
def test_a_parameter_of_a_wrong_value_is_refused(call, path, body, field):
    plain = {"/": {"inputs": "good"}, VERTEX: {"instances": ["good"]}, INFER: infer(["good"])}

    refusal = call("POST", path, {**plain[path], **body})

    assert refusal.status == 422
    assert refusal.json["error"].startswith(field)


def test_what_is_missing_has_no_field(call):
    refusal = call("POST", "/predict", {})

    assert refusal.json["detail"] == 'wanted one of the fields "text" and "texts"'
    assert "field" not in refusal.json


@pytest.mark.parametrize(
    "row", ["good film", ["good film"], {"text": "good film"}, {"text": "good film", "id": None}]
)
@pytest.mark.parametrize("path", [VERTEX, "/invocations"])
def test_a_row_may_be_a_text_an_array_or_an_object(call, path, row):
    answer = call("POST", path, {"instances": [row, "bad"]})

    assert [one["label"] for one in answer.json["predictions"]] == ["pos", "neg"]
    assert answer.json["predictions"][0]["known_tokens"] == 2


NULLS = {"top_k": None, "threshold": None, "explain": None}


@pytest.mark.parametrize(
    ("path", "plain", "more"),
    [
        ("/predict", {"text": "good"}, {"texts": None, **NULLS}),
        ("/predict", {"texts": ["good"]}, {"text": None, **NULLS}),
        ("/", {"inputs": "good"}, {"parameters": None}),
        ("/", {"inputs": "good"}, {"parameters": {"top_k": None, "function_to_apply": None}}),
        ("/invocations", {"text": "good"}, {"instances": None, "texts": None, **NULLS}),
        ("/invocations", {"instances": ["good"]}, {"text": None, "texts": None, **NULLS}),
        (VERTEX, {"instances": ["good"]}, {"parameters": None}),
        (VERTEX, {"instances": ["good"]}, {"parameters": NULLS, "signature_name": None}),
        (INFER, infer(["good"]), {"id": None, "parameters": None, "outputs": None}),
        (INFER, infer(["good"]), {"parameters": {"binary_data_output": None}}),
    ],
)
def test_null_is_as_good_as_absent(call, path, plain, more):
    answer = call("POST", path, {**plain, **more})

    assert answer.status == 200
    assert answer.body == call("POST", path, plain).body


def test_null_in_a_tensor_is_as_good_as_absent(call):
    tensor = {**TENSOR, "parameters": None}
    outputs = [{"name": "label", "parameters": None}]
    asked = {"inputs": [tensor], "outputs": outputs, "id": None}
    binary = {"name": "label", "parameters": {"binary_data": None}}

    assert call("POST", INFER, asked).json["outputs"][0]["data"] == ["pos"]
    by_default = {**asked, "outputs": [binary], "parameters": {"binary_data_output": True}}
    assert call("POST", INFER, by_default).type == "application/octet-stream"


POSTED = [("/predict", {"text": "good"}), ("/", {"inputs": "good"}), (INFER, infer(["good"]))]
POSTED += [(VERTEX, {"instances": ["good"]}), ("/invocations", {"text": "good"})]


@pytest.mark.parametrize(("path", "body"), POSTED)
@pytest.mark.parametrize(
    "charset", ["utf-16le", "UTF-16", "iso-8859-1", "windows-1252", '"latin-1"', "utf-7", ""]
)
def test_only_utf_8_is_read(call, path, body, charset):
    kind = f"application/json; Charset={charset}"

    assert call("POST", path, json.dumps(body).encode(), content_type=kind).status == 415


@pytest.mark.parametrize("kind", ["text/plain", "text/csv", "application/jsonlines"])
@pytest.mark.parametrize("charset", ["utf-16le", "utf-16", "windows-1252"])
def test_a_text_of_another_charset_is_refused(call, kind, charset):
    body = "\u0445\u043e\u0440\u043e\u0448\u0438\u0439 good".encode("utf-16le")

    refusal = call("POST", "/invocations", body, content_type=f"{kind}; charset={charset}")

    assert refusal.status == 415
    assert "utf-8" in refusal.json["detail"]


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"', "utf8", 'UTF-8; x="a;b"'])
@pytest.mark.parametrize("before", ["", 'version="1;charset=latin-1"; '])
def test_utf_8_may_be_said_in_any_way(call, charset, before):
    kind = f"text/plain; {before}charset={charset}"

    assert call("POST", "/invocations", b"good", content_type=kind).body == b"pos\n"


@pytest.mark.parametrize(("path", "body"), POSTED)
def test_a_byte_order_mark_is_no_part_of_json(call, path, body):
    body = json.dumps(body).encode()
    kind = "application/json"

    answer = call("POST", path, BOM + body, content_type=kind)

    assert answer.status == 200
    assert answer.body == call("POST", path, body, content_type=kind).body


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/plain", b"good"),
        ("text/csv", b'"good, film"\n'),
        ("text/csv", b"good\n"),
        ("application/jsonlines", b'"good"\n"bad"\n'),
    ],
)
def test_a_byte_order_mark_is_no_part_of_a_text(make_service, kind, body):
    service = make_service(limits=Limits(max_characters=len(body)))
    call = caller(service)

    plain = call("POST", "/invocations", body, content_type=kind)
    marked = call("POST", "/invocations", BOM + body, content_type=kind)

    assert (plain.status, marked.body) == (200, plain.body)
    assert service.lines[-2]["unknown_tokens"] == service.lines[-1]["unknown_tokens"]


@pytest.mark.parametrize(
    ("accept", "given", "kind"),
    [
        ("text/csv;q=0, application/json", "text/csv", "application/json"),
        ("application/*", "text/csv", "application/json"),
        ("application/*", "application/jsonlines", "application/jsonlines"),
        ("text/*", "application/json", "text/csv; charset=utf-8"),
        ("text/plain", "text/csv", "text/plain; charset=utf-8"),
        ("*/*", "text/csv", "text/csv; charset=utf-8"),
        ("", "text/plain", "text/plain; charset=utf-8"),
        ("text/csv;q=0, */*;q=0.1", "text/csv", "application/json"),
        ("application/x-jsonlines, application/json;q=0.9", "text/csv", "application/jsonlines"),
        ("application/jsonl;q=0.1, text/*;q=0.2", "application/json", "text/csv; charset=utf-8"),
    ],
)
def test_invocations_answers_in_the_type_that_is_liked_best(call, accept, given, kind):
    body = b'"good"' if given != "application/json" else b'{"text":"good"}'

    answer = call("POST", "/invocations", body, content_type=given, accept=accept)

    assert (answer.status, answer.type) == (200, kind)


@pytest.mark.parametrize("accept", ["image/*", "text/csv;q=0", "*/*;q=0", "application/xml"])
def test_invocations_refuses_where_no_type_is_taken(call, accept):
    refusal = call("POST", "/invocations", b"good", content_type="text/csv", accept=accept)

    assert refusal.status == 406
    assert "application/json" in refusal.json["detail"]


def test_every_text_says_its_charset(call):
    kinds = [call("GET", path).type for path in ("/", "/docs", "/metrics", "/docs/swagger-ui.css")]

    assert all(kind.endswith("; charset=utf-8") for kind in kinds)


def test_the_servers_time_stands_beside_every_answer(make_service):
    call = caller(make_service(cors_origins=("https://a.example",)))
    answer = call("POST", "/predict", {"text": "good"}, origin="https://a.example")

    name, _, duration = answer.headers["server-timing"].partition(";dur=")
    assert name == "total"
    assert 0 < float(duration) < 1000
    assert "server-timing" in answer.headers["access-control-expose-headers"]
    assert "server-timing" not in call("POST", "/predict", {}).headers
