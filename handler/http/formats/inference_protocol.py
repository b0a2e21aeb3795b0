"""Open Inference Protocol v2 (KServe, Triton), with the binary tensor data extension.

One input, `text`: BYTES of shape [n] or [n, 1]. The task names the outputs; of a single label
`label` BYTES [n], `score` FP32 [n] and `probabilities` FP32 [n, labels], columns in the order of
the metadata's `labels`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from handler.errors import ArtefactError, InvalidInput
from handler.http.messages import (
    Refusal,
    Request,
    Response,
    dump_json,
    json_response,
    parse_json,
)
from handler.http.operation import Answer, Note, Operation, predict
from handler.http.problems import protocol_error
from handler.http.schemas import PARAMETERS, STRING, Schema, make_array, make_object, refer
from handler.inference.classifier import Prediction
from handler.inference.models import Model
from handler.inference.requests import name_type, read_parameters
from handler.inference.tasks import Tensor

HEADER_LENGTH = "inference-header-content-length"
OCTETS = "application/octet-stream"


def server_metadata(model: Model, request: Request) -> Response:
    return json_response(
        {"name": "minnow", "version": model.version, "extensions": ["binary_tensor_data"]}
    )


def live(model: Model, request: Request) -> Response:
    return json_response({"live": True})


def ready(model: Model, request: Request) -> Response:
    """Run the golden text: a server that answers wrongly is not ready."""
    try:
        model.classifier.check_golden()
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


def infer(model: Model, request: Request) -> Response:
    document, tail = _split_body(request)
    texts = _read_texts(document.get("inputs"), tail)
    request_id = document.get("id", "")
    if not isinstance(request_id, str) or not _is_unicode(request_id):
        raise InvalidInput("id: wanted a string of Unicode text", field="id")
    requested = _read_outputs(document, model.task.tensors, request.allows_binary)
    predictions = predict(model, request, texts)
    tensors = [_make_output(model, tensor, predictions) for tensor, _ in requested]
    answer: dict[str, Any] = {
        "model_name": model.name,
        "model_version": model.version,
        "outputs": tensors,
    }
    if request_id:
        answer["id"] = request_id
    chunks = [
        _move_out(tensor)
        for tensor, (_, is_binary) in zip(tensors, requested, strict=True)
        if is_binary
    ]
    if not chunks:
        return json_response(answer)
    header = dump_json(answer)
    headers = {HEADER_LENGTH: str(len(header))}
    return Response(200, b"".join([header, *chunks]), OCTETS, headers)


def _split_body(request: Request) -> tuple[dict[str, Any], bytes]:
    """Return the JSON object and the binary tail, empty unless the header gives a length."""
    length = request.headers.get(HEADER_LENGTH)
    end = len(request.body)
    if length is not None:
        # A length of thousands of digits would be slow to read, one below 0 would cut from behind.
        if not (length.isascii() and length.isdigit() and len(length) < 10 and int(length) <= end):
            raise InvalidInput(f"{HEADER_LENGTH}: wanted 0 to {end}, the body's length", status=400)
        end = int(length)
    document = parse_json(request.body[:end])
    if not isinstance(document, dict):
        raise InvalidInput(f"the request is {name_type(document)}, wanted a JSON object")
    return document, request.body[end:]


def _read_texts(inputs: object, tail: bytes) -> list[str]:
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise InvalidInput('inputs: wanted an array of one tensor, "text"', field="inputs")
    tensor = inputs[0]
    if tensor.get("name") != "text" or tensor.get("datatype") != "BYTES":
        raise InvalidInput(
            'inputs[0]: wanted the name "text" and the datatype "BYTES"', field="inputs[0]"
        )
    size = read_parameters(tensor, "inputs[0].parameters").get("binary_data_size")
    if size is None:
        texts = _flatten(tensor.get("data"))
    elif isinstance(size, bool) or not isinstance(size, int) or size != len(tail):
        field = "inputs[0].parameters.binary_data_size"
        raise InvalidInput(f"{field}: wanted {len(tail)}, the bytes after the JSON", field=field)
    else:
        texts = _decode_bytes(tail)
    shape = tensor.get("shape")
    if shape not in ([len(texts)], [len(texts), 1]):
        field = "inputs[0].shape"
        raise InvalidInput(f"{field}: wanted [{len(texts)}], the number of texts", field=field)
    return texts


def _flatten(data: object) -> list[Any]:
    if not isinstance(data, list):
        raise InvalidInput(
            f"inputs[0].data is {name_type(data)}, wanted an array of strings",
            field="inputs[0].data",
        )
    return [
        item[0] if isinstance(item, list) and len(item) == 1 else item for item in data
    ]  # [["a"], ["b"]] is what shape [2, 1] may look like


def _decode_bytes(tail: bytes) -> list[str]:
    """Return the strings of `length (4 bytes, little endian), UTF-8, length, ...`."""
    texts: list[str] = []
    start = 0
    while start < len(tail):
        end = start + 4 + int.from_bytes(tail[start : start + 4], "little")
        if start + 4 > len(tail) or end > len(tail):
            raise InvalidInput(
                f"inputs[0]: element {len(texts)} ends after the body",
                status=400,
                field="inputs[0]",
            )
        try:
            texts.append(tail[start + 4 : end].decode("utf-8"))
        except UnicodeDecodeError as error:
            raise InvalidInput(
                f"inputs[0]: element {len(texts)} is not UTF-8 (byte {error.start})",
                status=400,
                field="inputs[0]",
            ) from None
        start = end
    return texts


def _read_outputs(
    document: Mapping[str, Any], tensors: Sequence[Tensor], allows_binary: bool
) -> list[tuple[Tensor, bool]]:
    """Return (tensor, whether it goes in binary) in the order asked for; all where none is."""
    by_default = read_parameters(document).get("binary_data_output", False)
    known = {tensor.name: tensor for tensor in tensors}
    outputs = document.get("outputs")
    if outputs is None or outputs == []:
        outputs = [{"name": name} for name in known]
    if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs):
        raise InvalidInput("outputs: wanted an array of objects", field="outputs")
    wanted = []
    left = dict(known)
    for index, output in enumerate(outputs):
        name = output.get("name")
        if not isinstance(name, str) or name not in left:
            field = f"outputs[{index}].name"
            raise InvalidInput(f"{field}: wanted one of {', '.join(known)}, once", field=field)
        parameters = read_parameters(output, f"outputs[{index}].parameters")
        is_binary = allows_binary and bool(parameters.get("binary_data", by_default))
        wanted.append((left.pop(name), is_binary))
    return wanted


def _make_output(model: Model, tensor: Tensor, predictions: Sequence[Prediction]) -> dict[str, Any]:
    data = [
        value for one in predictions for value in model.task.tensor_values(tensor.name, one.outputs)
    ]
    width = [] if tensor.width is None else [tensor.width]
    return {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": [len(predictions), *width],
        "data": data,
    }


def _move_out(tensor: dict[str, Any]) -> bytes:
    """Return the tensor's data in binary, and leave its size in its place."""
    data = tensor.pop("data")
    if tensor["datatype"] == "FP32":
        encoded = struct.pack(f"<{len(data)}f", *data)
    else:
        elements = [element.encode() for element in data]
        encoded = b"".join(struct.pack("<I", len(element)) + element for element in elements)
    tensor["parameters"] = {"binary_data_size": len(encoded)}
    return encoded


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def make_schemas(model: Model) -> dict[str, Schema]:
    """Return the components by name."""
    tensor = {
        "name": STRING,
        "datatype": STRING,
        "shape": make_array({"type": "integer"}),
        "parameters": PARAMETERS,
        "data": {"type": "array"},
    }
    input_tensor = {**tensor, "name": {"const": "text"}, "datatype": {"const": "BYTES"}}
    inputs = make_array(
        make_object("name datatype shape data", input_tensor), minItems=1, maxItems=1
    )
    output = {
        "name": {"enum": [tensor.name for tensor in model.task.tensors]},
        "parameters": PARAMETERS,
    }
    request = {
        "id": STRING,
        "parameters": PARAMETERS,
        "inputs": inputs,
        "outputs": {**make_array(make_object("name", output)), "type": ["array", "null"]},
    }
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
        "InferRequest": make_object("inputs", request),
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
    _operation(
        "GET",
        "/v2/health/ready",
        "oip_ready",
        ready,
        Note("Say that the golden text gets its known score", TAG, writes="Ready"),
        is_open=True,
    ),
    _operation("GET", MODEL, "oip_model", model_metadata, METADATA_NOTE),
    _operation("GET", VERSION, "oip_version", model_metadata, METADATA_NOTE),
    _operation("GET", MODEL + "/ready", "oip_model_ready", model_ready, READY_NOTE),
    _operation("GET", VERSION + "/ready", "oip_version_ready", model_ready, READY_NOTE),
    _operation("POST", MODEL + "/infer", "oip_infer", infer, INFER_NOTE),
    _operation("POST", VERSION + "/infer", "oip_version_infer", infer, INFER_NOTE),
)
