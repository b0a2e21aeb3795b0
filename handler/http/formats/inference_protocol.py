"""Open Inference Protocol v2 (KServe, Triton), with the binary tensor data extension.

One input, `text`: BYTES of shape [n] or [n, 1]. Three outputs: `label` BYTES [n], `score` FP32 [n],
`probabilities` FP32 [n, num_classes], columns in the order of the metadata's `labels`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from handler.errors import ArtefactError, InvalidInput
from handler.http.messages import (
    Refusal,
    Request,
    Response,
    dump_json,
    json_response,
    parse_json,
)
from handler.inference.classifier import Prediction
from handler.inference.requests import name_type, read_parameters

if TYPE_CHECKING:
    from handler.http.service import Service

OUTPUTS = ("label", "score", "probabilities")
HEADER_LENGTH = "inference-header-content-length"
OCTETS = "application/octet-stream"


def server_metadata(service: Service, request: Request) -> Response:
    return json_response(
        {"name": "minnow", "version": service.version, "extensions": ["binary_tensor_data"]}
    )


def live(service: Service, request: Request) -> Response:
    return json_response({"live": True})


def ready(service: Service, request: Request) -> Response:
    """Run the golden text: a server that answers wrongly is not ready."""
    try:
        service.classifier.check_golden()
    except ArtefactError as error:
        raise Refusal(503, str(error), retry_after="30") from error
    return json_response({"ready": True, "live": True})


def model_ready(service: Service, request: Request) -> Response:
    ready(service, request)
    return json_response({"name": service.classifier.manifest.name, "ready": True})


def model_metadata(service: Service, request: Request) -> Response:
    manifest = service.classifier.manifest
    num_classes = len(manifest.labels)
    return json_response(
        {
            "name": manifest.name,
            "versions": [manifest.version],
            "platform": "onnxruntime_onnx",
            "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
            "outputs": [
                {"name": "label", "datatype": "BYTES", "shape": [-1]},
                {"name": "score", "datatype": "FP32", "shape": [-1]},
                {"name": "probabilities", "datatype": "FP32", "shape": [-1, num_classes]},
            ],
            "labels": manifest.labels,
            "limits": service.describe_limits(),
        }
    )


def infer(service: Service, request: Request) -> Response:
    document, tail = _split_body(request)
    texts = _read_texts(document.get("inputs"), tail)
    request_id = document.get("id", "")
    if not isinstance(request_id, str) or not _is_unicode(request_id):
        raise InvalidInput("id: wanted a string of Unicode text", field="id")
    requested = _read_outputs(document, request.allows_binary)
    predictions = service.predict(request, texts)
    tensors = [_make_output(name, predictions) for name in requested]
    answer: dict[str, Any] = {
        "model_name": service.classifier.manifest.name,
        "model_version": service.classifier.manifest.version,
        "outputs": tensors,
    }
    if request_id:
        answer["id"] = request_id
    chunks = [
        _move_out(tensor)
        for tensor, is_binary in zip(tensors, requested.values(), strict=True)
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


def _read_outputs(document: Mapping[str, Any], allows_binary: bool) -> dict[str, bool]:
    """Return name -> whether it goes in binary, in the order asked for; all where none is."""
    by_default = read_parameters(document).get("binary_data_output", False)
    outputs = document.get("outputs")
    if outputs is None or outputs == []:
        outputs = [{"name": name} for name in OUTPUTS]
    if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs):
        raise InvalidInput("outputs: wanted an array of objects", field="outputs")
    wanted = {}
    for index, output in enumerate(outputs):
        name = output.get("name")
        if name not in OUTPUTS or name in wanted:
            field = f"outputs[{index}].name"
            raise InvalidInput(f"{field}: wanted one of {', '.join(OUTPUTS)}, once", field=field)
        parameters = read_parameters(output, f"outputs[{index}].parameters")
        wanted[name] = allows_binary and bool(parameters.get("binary_data", by_default))
    return wanted


def _make_output(name: str, predictions: Sequence[Prediction]) -> dict[str, Any]:
    if name == "label":
        return _tensor(name, "BYTES", [len(predictions)], [p.label for p in predictions])
    if name == "score":
        return _tensor(name, "FP32", [len(predictions)], [p.score for p in predictions])
    flat = [value for p in predictions for value in p.scores.values()]
    return _tensor(name, "FP32", [len(predictions), len(flat) // len(predictions)], flat)


def _tensor(name: str, datatype: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


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
