"""Open Inference Protocol v2 (KServe, Triton), with the binary tensor data extension.

One input, `text`: BYTES of shape [n] or [n, 1]. The task names the outputs; of a single label
`label` BYTES [n], `score` FP32 [n] and `probabilities` FP32 [n, labels], columns in the order of
the metadata's `labels`. With the parameter `coverage` there is one more output, `set` BYTES [n]: a
JSON array for each text, of the labels of that set. Parameters that are not known are refused.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from handler.errors import ArtefactError, InvalidInput
from handler.http.messages import (
    Refusal,
    Request,
    Response,
    dump_json,
    json_response,
)
from handler.http.operation import Answer, Asking, Note, Operation, predict
from handler.http.problems import protocol_error
from handler.http.schemas import (
    COUNT,
    FLAG,
    PARAMETERS,
    STRING,
    Schema,
    make_array,
    make_nullable,
    make_object,
    make_parameters,
    refer,
)
from handler.http.tensors import (
    CONTENT_TYPE,
    HEADER_LENGTH,
    OCTETS,
    check_content_type,
    move_out,
    read_outputs,
    read_texts,
    split_body,
)
from handler.inference.classifier import Prediction
from handler.inference.models import Model
from handler.inference.requests import read_flag, read_options, read_parameters
from handler.inference.tasks import Options, Tensor

REQUEST_PARAMETERS = ("binary_data_output", CONTENT_TYPE, "coverage")
SET = Tensor("set", "BYTES")


def server_metadata(model: Model, request: Request) -> Response:
    return json_response(
        {"name": "minnow", "version": model.version, "extensions": ["binary_tensor_data"]}
    )


def live(model: Model, request: Request) -> Response:
    return json_response({"live": True})


def ready(model: Model, request: Request) -> Response:
    """Run the golden text: a server that answers wrongly is not ready."""
    try:
        model.check_golden(time.monotonic())
    except ArtefactError as error:
        raise Refusal(503, str(error), retry_after="30") from error
    return json_response({"ready": True, "live": True})


def model_ready(model: Model, request: Request) -> Response:
    ready(model, request)
    return json_response({"name": model.name, "ready": True})


def model_metadata(model: Model, request: Request) -> Response:
    outputs = [
        {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": [-1] if tensor.width is None else [-1, tensor.width],
        }
        for tensor in model.task.tensors
    ]
    return json_response(
        {
            "name": model.name,
            "versions": [model.version],
            "platform": "onnxruntime_onnx",
            "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
            "outputs": outputs,
            **model.describe_task(),
            "limits": model.describe_limits(),
        }
    )


def infer(model: Model, request: Request) -> Asking:
    document, tail = split_body(request)
    texts, source = read_texts(document.get("inputs"), tail)
    request_id = document.get("id")
    request_id = "" if request_id is None else request_id
    if not isinstance(request_id, str) or not _is_unicode(request_id):
        raise InvalidInput("id: wanted a string of Unicode text", field="id")
    parameters = read_parameters(document, REQUEST_PARAMETERS)
    check_content_type(parameters, "parameters")
    options = read_options({"coverage": parameters.get("coverage")}, "parameters.")
    offered = [*model.task.tensors, *([SET] if options.coverage is not None else [])]
    by_default = bool(read_flag(parameters, "binary_data_output", "parameters"))
    requested = read_outputs(document, offered, request.allows_binary, by_default)
    predictions = yield from predict(model, request, texts, source, options)
    tensors = [_make_output(model, tensor, predictions, options) for tensor, _ in requested]
    answer: dict[str, Any] = {
        "model_name": model.name,
        "model_version": model.version,
        "outputs": tensors,
    }
    if request_id:
        answer["id"] = request_id
    chunks = [
        move_out(tensor)
        for tensor, (_, is_binary) in zip(tensors, requested, strict=True)
        if is_binary
    ]
    if not chunks:
        return json_response(answer)
    header = dump_json(answer)
    headers = {HEADER_LENGTH: str(len(header))}
    return Response(200, b"".join([header, *chunks]), OCTETS, headers)


def _make_output(
    model: Model, tensor: Tensor, predictions: Sequence[Prediction], options: Options
) -> dict[str, Any]:
    data = [
        value
        for one in predictions
        for value in (
            [json.dumps(model.task.answer(one.outputs, options)["set"], ensure_ascii=False)]
            if tensor is SET
            else model.task.tensor_values(tensor.name, one.outputs)
        )
    ]
    width = [] if tensor.width is None else [tensor.width]
    return {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": [len(predictions), *width],
        "data": data,
    }


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _make_request_schema(model: Model, tensor: Schema) -> Schema:
    content_type = {CONTENT_TYPE: {"enum": ["str", None]}}
    input_tensor = {
        **tensor,
        "name": {"const": "text"},
        "datatype": {"const": "BYTES"},
        "parameters": make_parameters({"binary_data_size": make_nullable(COUNT), **content_type}),
    }
    inputs = make_array(
        make_object("name datatype shape data", input_tensor), minItems=1, maxItems=1
    )
    output = {
        "name": {"enum": [*(tensor.name for tensor in model.task.tensors), SET.name]},
        "parameters": make_parameters({"binary_data": FLAG, **content_type}),
    }
    asked = {"binary_data_output": FLAG, "coverage": refer("Coverage"), **content_type}
    request = {
        "id": {"type": ["string", "null"]},
        "parameters": make_parameters(asked),
        "inputs": inputs,
        "outputs": {**make_array(make_object("name", output)), "type": ["array", "null"]},
    }
    return make_object("inputs", request)


def make_schemas(model: Model) -> dict[str, Schema]:
    """Return the components by name."""
    tensor = {
        "name": STRING,
        "datatype": STRING,
        "shape": make_array({"type": "integer"}),
        "data": {"type": "array"},
    }
    request = _make_request_schema(model, tensor)
    tensor |= {"parameters": PARAMETERS}
    tensors = make_array(make_object("name datatype shape", tensor))
    answer = {"model_name": STRING, "model_version": STRING, "id": STRING, "outputs": tensors}
    metadata = {
        "name": STRING,
        "versions": make_array(STRING),
        "platform": STRING,
        "inputs": tensors,
        "outputs": tensors,
        **{name: {"const": value} for name, value in model.describe_task().items()},
        "limits": refer("Limits"),
    }
    server = {"name": STRING, "version": STRING, "extensions": make_array(STRING)}
    boolean = {"type": "boolean"}
    return {
        "InferRequest": request,
        "InferAnswer": make_object("model_name model_version outputs", answer),
        "ServerMetadata": make_object("name version extensions", server),
        "ModelMetadata": make_object("name versions platform inputs outputs", metadata),
        "Live": make_object("live", {"live": boolean}),
        "Ready": make_object("ready", {"ready": boolean}),
    }


def _make_example(text: str) -> dict[str, Any]:
    tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": [text]}
    return {"id": "1", "inputs": [tensor]}


TAG = "Open Inference Protocol v2"
MODEL = "/v2/models/{name}"
VERSION = MODEL + "/versions/{version}"
METADATA_NOTE = Note("Describe the model", TAG, writes="ModelMetadata")
READY_NOTE = Note("Say that the model is ready", TAG, writes="Ready")
INFER_NOTE = Note(
    "Classify a BYTES tensor of texts",
    TAG,
    writes="InferAnswer",
    reads="InferRequest",
    example=_make_example,
    more_writes={OCTETS: {"type": "string", "format": "binary"}},
)


def _operation(
    method: str, path: str, name: str, answer: Answer, note: Note, is_open: bool = False
) -> Operation:
    return Operation(method, path, name, answer, note, protocol_error, is_open)


OPERATIONS = (
    _operation(
        "GET",
        "/v2",
        "oip_server",
        server_metadata,
        Note("Describe the server", TAG, writes="ServerMetadata"),
    ),
    _operation(
        "GET",
        "/v2/health/live",
        "oip_live",
        live,
        Note("Say that the process runs", TAG, writes="Live"),
        is_open=True,
    ),
    Operation(
        "GET",
        "/v2/health/ready",
        "oip_ready",
        ready,
        Note("Say that each model's golden text gets its known outputs", TAG, writes="Ready"),
        protocol_error,
        is_open=True,
        asks_all=True,
        tells_readiness=True,
    ),
    _operation("GET", MODEL, "oip_model", model_metadata, METADATA_NOTE),
    _operation("GET", VERSION, "oip_version", model_metadata, METADATA_NOTE),
    _operation("GET", MODEL + "/ready", "oip_model_ready", model_ready, READY_NOTE),
    _operation("GET", VERSION + "/ready", "oip_version_ready", model_ready, READY_NOTE),
    _operation("POST", MODEL + "/infer", "oip_infer", infer, INFER_NOTE),
    _operation("POST", VERSION + "/infer", "oip_version_infer", infer, INFER_NOTE),
)
