"""Tensors of the Open Inference Protocol: texts in JSON or binary, outputs in either."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from handler.errors import InvalidInput
from handler.http.messages import Request, parse_json
from handler.inference.requests import Source, name_list, name_type, read_flag, read_parameters
from handler.inference.tasks import Tensor

HEADER_LENGTH = "inference-header-content-length"
OCTETS = "application/octet-stream"
CONTENT_TYPE = "content_type"  # MLServer's clients name what a tensor holds
OUTPUT_PARAMETERS = ("binary_data", CONTENT_TYPE)
INPUT_PARAMETERS = ("binary_data_size", CONTENT_TYPE)


def split_body(request: Request) -> tuple[dict[str, Any], bytes]:
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


def read_texts(inputs: object, tail: bytes) -> tuple[list[Any], Source]:
    """Return the texts of the one input tensor, and what their sender calls them.

    Args:
        tail: What follows the JSON.
    """
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise InvalidInput('inputs: wanted an array of one tensor, "text"', field="inputs")
    tensor = inputs[0]
    if tensor.get("name") != "text" or tensor.get("datatype") != "BYTES":
        raise InvalidInput(
            'inputs[0]: wanted the name "text" and the datatype "BYTES"', field="inputs[0]"
        )
    parameters = read_parameters(tensor, INPUT_PARAMETERS, "inputs[0].parameters")
    check_content_type(parameters, "inputs[0].parameters")
    size = parameters.get("binary_data_size")
    if size is None:
        texts, source = _flatten(tensor.get("data"))
    elif isinstance(size, bool) or not isinstance(size, int) or size != len(tail):
        field = "inputs[0].parameters.binary_data_size"
        raise InvalidInput(f"{field}: wanted {len(tail)}, the bytes after the JSON", field=field)
    else:
        texts = _decode_bytes(tail)
        source = Source("inputs[0]", "inputs[0], element {}".format)
    shape = tensor.get("shape")
    if shape not in ([len(texts)], [len(texts), 1]):
        field = "inputs[0].shape"
        raise InvalidInput(f"{field}: wanted [{len(texts)}], the number of texts", field=field)
    return texts, source


def check_content_type(parameters: Mapping[str, Any], path: str) -> None:
    """Raise InvalidInput for a content type that is not text."""
    if parameters.get(CONTENT_TYPE) not in (None, "str"):
        field = f"{path}.{CONTENT_TYPE}"
        raise InvalidInput(f'{field}: wanted "str", texts', field=field)


def _flatten(data: object) -> tuple[list[Any], Source]:
    if not isinstance(data, list):
        raise InvalidInput(
            f"inputs[0].data is {name_type(data)}, wanted an array of strings",
            field="inputs[0].data",
        )
    # [["a"], ["b"]] is what shape [2, 1] may look like
    nested = [isinstance(item, list) and len(item) == 1 for item in data]
    texts = [item[0] if is_in else item for item, is_in in zip(data, nested, strict=True)]
    places = name_list("inputs[0].data")
    return texts, Source(
        places.field, lambda index: places.place(index) + ("[0]" if nested[index] else "")
    )


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


def read_outputs(
    document: Mapping[str, Any], tensors: Sequence[Tensor], allows_binary: bool, by_default: bool
) -> list[tuple[Tensor, bool]]:
    """Return (tensor, whether it goes in binary) in the order asked for; all where none is."""
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
        path = f"outputs[{index}].parameters"
        parameters = read_parameters(output, OUTPUT_PARAMETERS, path)
        check_content_type(parameters, path)
        wants_binary = read_flag(parameters, "binary_data", path)
        is_binary = allows_binary and (by_default if wants_binary is None else wants_binary)
        wanted.append((left.pop(name), is_binary))
    return wanted


def move_out(tensor: dict[str, Any]) -> bytes:
    """Return the tensor's data in binary, and leave its size in its place."""
    data = tensor.pop("data")
    if tensor["datatype"] == "FP32":
        encoded = struct.pack(f"<{len(data)}f", *data)
    elif tensor["datatype"] == "BOOL":
        encoded = bytes(data)
    else:
        elements = [element.encode() for element in data]
        encoded = b"".join(struct.pack("<I", len(element)) + element for element in elements)
    tensor["parameters"] = {"binary_data_size": len(encoded)}
    return encoded
