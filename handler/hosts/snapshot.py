"""Lambda SnapStart: what happens before a snapshot is taken, and after each restore of it."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Mapping
from typing import Any

from handler.inference.models import Models

Handler = Callable[[Any, Any], Any]


def is_snapshot_start(environment: Mapping[str, str] = os.environ) -> bool:
    """Say whether this process is one that Lambda will take a snapshot of."""
    return environment.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start"


def register_hooks(models: Models, handler: Handler) -> None:
    """Register both hooks with the Lambda runtime, which carries the library."""
    from snapshot_restore_py import register_after_restore, register_before_snapshot

    register_before_snapshot(prepare_snapshot, models, handler)
    register_after_restore(check_restored, models)


def prepare_snapshot(models: Models, handler: Handler) -> None:
    """Import and warm what an invocation would: in a snapshot it costs nothing.

    The OpenAPI document loads the whole HTTP app; the golden text is an answer already known.
    boto3's clients are made later: they may hold credentials, which a snapshot outlives; those of
    the repository of models are made again.
    """
    import boto3  # noqa: F401  # whoever sends results needs it: over half of a queue's first batch

    handler(_http_event("GET", "/openapi.json"), None)
    body = json.dumps({"text": models.default.manifest.golden.text})
    handler(_http_event("POST", "/predict", body), None)
    models.forget_connections()
    models.monitor.forget()  # what is seen from here on, each copy sees for itself


def check_restored(models: Models) -> None:
    """Seed what copies of one snapshot would share, and check the models on this machine.

    The snapshot may be restored on another kind of CPU, where int8 can come out differently.

    Raises:
        ArtefactError: The golden text's outputs are off: Lambda discards this environment.
    """
    random.seed()  # uuid4 and secrets ask the kernel each time and need no seed
    for model in models:
        model.classifier.check_golden()
    models.renew()  # a snapshot may be weeks old: what was promoted since answers from the start


def _http_event(method: str, path: str, body: str | None = None) -> dict[str, Any]:
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "host": "localhost"},
        "requestContext": {
            "requestId": "snapshot",
            "stage": "$default",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "snapshot",
            },
        },
        "body": body,
        "isBase64Encoded": False,
    }
