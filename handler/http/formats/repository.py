"""Triton's extension for repositories of models: what there is, and having it loaded and dropped.

Answered only where `MINNOW_MODELS_CONTROL` is on. What was dropped is loaded again as soon as
somebody asks for it: unloading frees memory, it takes no model away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from handler.errors import ArtefactError, DeliveryError
from handler.http.messages import Refusal, Request, Response, json_response, parse_json
from handler.http.operation import Operation
from handler.http.problems import protocol_error
from handler.inference.models import Model
from handler.inference.requests import name_type

if TYPE_CHECKING:
    from handler.repository.models import StoredModels


def index(model: Model, request: Request) -> Response:
    """Return each model with the versions that are loaded; those of none as unavailable."""
    models = _models(model)
    document = parse_json(request.body) if request.body.strip() else {}
    if not isinstance(document, dict):
        raise Refusal(422, f"the request is {name_type(document)}, wanted a JSON object")
    try:
        shelves = models.list_shelves()
    except (ArtefactError, DeliveryError) as error:  # a folder may be gone
        raise Refusal(503, "the repository does not answer", retry_after="10") from error
    entries: list[dict[str, Any]] = []
    for shelf in shelves:
        loaded = models.list_loaded(shelf.name)
        for number in loaded:
            entries.append(
                {"name": shelf.name, "version": str(number), "state": "READY", "reason": ""}
            )
        if not loaded:
            reason = "it failed: see the log" if shelf.complaints or shelf.fault else "not loaded"
            entries.append(
                {"name": shelf.name, "version": "", "state": "UNAVAILABLE", "reason": reason}
            )
    if document.get("ready") is True:
        entries = [entry for entry in entries if entry["state"] == "READY"]
    return json_response(entries)


def load(model: Model, request: Request) -> Response:
    """Look at the model's aliases now, and load what `live` means."""
    try:
        _models(model).reload(_read_name(request))
    except (ArtefactError, DeliveryError) as error:
        raise Refusal(503, "the model cannot be loaded; the log says why") from error
    return json_response({})


def unload(model: Model, request: Request) -> Response:
    _models(model).drop(_read_name(request))
    return json_response({})


def _models(model: Model) -> StoredModels:
    return cast("StoredModels", model.models)


def _read_name(request: Request) -> str:
    return request.path.strip("/").split("/")[3]  # v2/repository/models/NAME/load


MODEL = "/v2/repository/models/{any}"
OPERATIONS = tuple(
    Operation("POST", path, name, answer, None, protocol_error, waits=True)
    for path, name, answer in (
        ("/v2/repository/index", "repository_index", index),
        (MODEL + "/load", "repository_load", load),
        (MODEL + "/unload", "repository_unload", unload),
    )
)
