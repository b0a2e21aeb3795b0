"""Triton's own client, unmodified, manages a repository of models over HTTP."""

from tritonclient import http as triton

from handler.http.service import Service
from handler.repository.opening import open_models
from handler.repository.places import open_store
from tests.helpers.http_service import Server
from tests.helpers.repositories import Shop, make_settings


def test_tritons_client_manages_the_repository(tiny_bundle, tmp_path):
    place = str(tmp_path / "models")
    shop = Shop(open_store(place), tiny_bundle, tmp_path / "bundles")
    shop.push("films", "a", "live")
    shop.push("films", "b", "candidate")
    shop.push("books", "c", "live")
    settings = make_settings(place, MINNOW_MODEL="films", MINNOW_MODELS_CONTROL="on")

    with Server(Service(open_models(settings), settings)) as server:
        client = triton.InferenceServerClient(server.address)
        client.load_model("books")
        assert client.is_model_ready("books")
        client.unload_model("books")
        index = client.get_model_repository_index()
        client.close()

    assert [(one["name"], one["state"]) for one in index] == [
        ("books", "UNAVAILABLE"),
        ("films", "READY"),
    ]
