"""The template's state machine, played without Step Functions: its calls are made for real.

Its expressions in JSONata are taken as whole texts: another one is taught here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

# Expression -> its value, of the execution's input and the item at hand. `encodeURIComponent`,
# which JSONata's function is, leaves some marks as they are.
EXPRESSIONS: dict[str, Callable[[Any, Any], Any]] = {
    "$states.input.prefix": lambda given, item: given["prefix"],
    "$encodeUrlComponent($states.context.Map.Item.Value.Key)": (
        lambda given, item: quote(item["Key"], safe="!~*'()")
    ),
    "$replace($states.context.Map.Item.Value.Etag, '\"', '')": (
        lambda given, item: item["Etag"].replace('"', "")
    ),
    "$states.context.Map.Item.Value.Size": lambda given, item: item["Size"],
    "$states.input": lambda given, item: given,
}


def play_map(
    definition: Mapping[str, Any],
    given: Any,
    call_s3: Callable[..., Any],
    invoke: Callable[[str, Any], Any],
) -> list[Any]:
    """Run a definition of one Distributed Map over objects; return what the items gave.

    Args:
        definition: Resolved.
        given: The execution's input.
        call_s3: Calls a method of boto3's client, by its name and with its arguments.
        invoke: Invokes a function by its ARN with a payload, and returns its reply.
    """
    state = definition["States"][definition["StartAt"]]
    reader, writer = state["ItemReader"], state["ResultWriter"]
    assert reader["Resource"] == "arn:aws:states:::s3:listObjectsV2"
    assert writer["Resource"] == "arn:aws:states:::s3:putObject"
    listed = call_s3("list_objects_v2", **_evaluate(reader["Arguments"], given, None))
    replies = []
    for found in listed["Contents"]:
        item = {"Key": found["Key"], "Etag": found["ETag"], "Size": found["Size"]}
        processed = _evaluate(state["ItemSelector"], given, item)
        processor = state["ItemProcessor"]
        task = processor["States"][processor["StartAt"]]
        assert task["Resource"] == "arn:aws:states:::lambda:invoke"
        arguments = _evaluate(task["Arguments"], processed, None)
        replies.append(invoke(arguments["FunctionName"], arguments["Payload"]))
    target = writer["Arguments"]
    key = f"{target['Prefix']}/0123/SUCCEEDED_0.json"
    body = json.dumps(replies).encode()
    call_s3("put_object", Bucket=target["Bucket"], Key=key, Body=body)
    return replies


def _evaluate(value: Any, given: Any, item: Any) -> Any:
    if isinstance(value, dict):
        return {name: _evaluate(one, given, item) for name, one in value.items()}
    if isinstance(value, list):
        return [_evaluate(one, given, item) for one in value]
    if isinstance(value, str) and value.startswith("{%"):
        return EXPRESSIONS[value.removeprefix("{%").removesuffix("%}").strip()](given, item)
    return value
