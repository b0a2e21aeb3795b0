"""The route is found behind base paths, stages and slashes, or by a setting."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from handler.http.lambda_http import LambdaHttp
from handler.http.paths import find_route, strip_base
from handler.settings import HttpSettings, Settings
from tests.helpers.http_events import KINDS, make_event, read_reply
from tests.helpers.http_service import LIMITS, Server, add_route, make_models

GOOD = {"text": "good"}
OWN = "a1b2.execute-api.eu-west-1.amazonaws.com"
SHOP = "api.shop.example"


def rest(path, resource, parameters=None, **asked):
    """Return an event of a REST API, which has the path of a custom domain as it was asked."""
    asked = {"stage": "prod", "path": path, "resourcePath": resource, **asked}
    return {
        "resource": resource,
        "path": path,
        "httpMethod": "POST",
        "headers": {"Content-Type": "application/json"},
        "multiValueHeaders": None,
        "pathParameters": parameters,
        "requestContext": asked,
        "body": '{"text": "good"}',
        "isBase64Encoded": False,
    }


def http_api(path, route, parameters=None, stage="$default", domain=OWN):
    """Return an event of an HTTP API: the stage is in the path, at its own address."""
    http = {"method": "POST", "path": path, "sourceIp": "192.0.2.1"}
    return {
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "headers": {"content-type": "application/json"},
        "pathParameters": parameters,
        "requestContext": {"http": http, "stage": stage, "domainName": domain},
        "body": '{"text": "good"}',
    }


PROXY = {"proxy": "predict"}
FOUND = {
    "a resource behind a base path": rest("/api/predict", "/predict"),
    "a base path of two segments": rest("/api/v7/predict", "/{proxy+}", PROXY),
    "a mapping without a stage": rest("/prod/predict", "/{proxy+}", PROXY),
    "a stage without parameters": rest("/prod/predict", "/{proxy+}"),
    "a stage called as a route": rest("/predict/predict", "/{proxy+}", PROXY, stage="predict"),
    "that stage, which is not in the path": rest("/predict", "/{proxy+}", PROXY, stage="predict"),
    "a base path called as a route": rest("/v2/predict", "/{proxy+}", PROXY),
    "a slash at the end": rest("/api/predict/", "/predict"),
    "a parameter with slashes before it": rest("/x/predict", "/{proxy+}", {"proxy": "/predict"}),
    "a resource that is not the root": rest("/shop/predict", "/shop/{proxy+}", PROXY),
    "the console's parameters, another path": rest(
        "/predict", "/{proxy+}", {"proxy": "/path/to/resource"}
    ),
    "parameters of no use": rest("/predict", "/{proxy+}", {"proxy": None}),
    "parameters of another type": rest("/predict", "/{proxy+}", ["predict"]),
    "written by hand": rest("/predict", "/", resourcePath=None),
    "HTTP API, stage": http_api("/prod/predict", "$default", stage="prod"),
    "HTTP API, stage called as a route": http_api("/predict/predict", "$default", stage="predict"),
    "HTTP API, that stage, custom domain": http_api(
        "/predict", "$default", stage="predict", domain=SHOP
    ),
    "HTTP API, mapping": http_api("/api/predict", "ANY /{proxy+}", PROXY, "prod", SHOP),
    "HTTP API, route": http_api("/api/predict", "POST /predict", None, "prod", SHOP),
    "HTTP API, payload 1.0": {
        **rest("/prod/predict", "$default", None, domainName=OWN),
        "version": "1.0",
    },
}


@pytest.mark.parametrize("event", FOUND.values(), ids=FOUND)
def test_an_event_tells_its_route(lambda_http, event):
    assert lambda_http.read(event, None).path.rstrip("/") == "/predict"
    assert lambda_http.answer(event, None)["statusCode"] == 200


@pytest.mark.parametrize(
    "event",
    [
        rest("/predict", "/"),
        rest("/prod", "/"),
        http_api("/predict", "$default", stage="predict"),
        http_api("/prod", "$default", stage="prod"),
        http_api("/prod/", "ANY /", stage="prod", domain=SHOP),
    ],
    ids=["a base path called as a route", "a mapping", "a stage", "prod", "its root"],
)
def test_the_root_behind_something_is_the_root(lambda_http, event):
    assert lambda_http.read(event, None).path == "/"


@pytest.mark.parametrize(
    ("resource", "parameters", "path"),
    [
        ("/v1/{proxy+}", {"proxy": "models/tiny:predict"}, "/v1/models/tiny:predict"),
        ("/v2/models/{name}/infer", {"name": "tiny"}, "/v2/models/tiny/infer"),
        ("/v2/{proxy+}", {"proxy": "models/tiny/infer"}, "/v2/models/tiny/infer"),
    ],
)
def test_parameters_are_filled_in(lambda_http, resource, parameters, path):
    event = rest(f"/api{path.replace(':', '%3A')}", resource, parameters)

    assert lambda_http.read(event, None).path == path


@pytest.mark.parametrize("path", ["/nowhere", "/production/predict", "/x/predict", ""])
def test_nothing_is_cut_off_that_no_event_tells(lambda_http, path):
    for kind in KINDS:
        event = make_event(kind, "POST", path or "/nowhere/", GOOD)
        assert lambda_http.answer(event, None)["statusCode"] == 404


@pytest.mark.parametrize("path", [{"a": 1}, ["/predict"], 7])
def test_a_path_that_is_no_text_is_no_path(path):
    event = {"path": path, "requestContext": {"stage": 7}, "resource": 7, "pathParameters": 7}

    assert find_route(event, lambda route: True) == ""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", ["/predict/", "/v2/models/tiny/", "/v2/", "/health/", "/docs/"])
def test_a_slash_at_the_end_makes_no_other_path(lambda_http, kind, path):
    is_post = path == "/predict/"
    event = make_event(kind, "POST" if is_post else "GET", path, GOOD if is_post else b"")

    assert lambda_http.answer(event, None)["statusCode"] == 200


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", ["/shop/predict", "/predict", "/shop/predict/"])
def test_the_setting_takes_a_base_path_away_where_it_stands(tiny_classifier, kind, path):
    settings = Settings(limits=LIMITS, http=HttpSettings(base_path="/shop"))
    lambda_http = LambdaHttp(make_models(tiny_classifier), settings)

    reply = lambda_http.answer(make_event(kind, "POST", path, GOOD), None)
    document = lambda_http.answer(make_event(kind, "GET", "/shop/openapi.json"), None)

    assert reply["statusCode"] == 200
    assert document["statusCode"] == 200
    root = lambda_http.answer(make_event(kind, "GET", "/shop"), None)
    assert read_reply(root)[1]["content-type"] == "text/html; charset=utf-8"
    other = lambda_http.answer(make_event(kind, "POST", "/shopping/predict", GOOD), None)
    assert other["statusCode"] == 404


def test_a_server_takes_the_base_path_away_too(make_service):
    with Server(make_service(base_path="/shop"), add_route) as server:
        paths = ("/shop/health", "/health", "/shop", "/shop/docs/", "/shop/openapi.json")
        statuses = [httpx.get(server.url + path).status_code for path in paths]
        mine = httpx.get(f"{server.url}/shop/mine")
        posted = httpx.post(f"{server.url}/shop/predict/", json=GOOD)

    assert statuses == [200] * 5
    assert mine.json() == "good"
    assert posted.json()["predictions"][0]["label"] == "pos"


def test_the_app_may_be_mounted_in_another(make_service):
    def mount(service):
        return Starlette(routes=[Mount("/models", add_route(service))])

    with Server(make_service(), mount) as server:
        urls = [f"{server.url}/models{path}" for path in ("/health", "/mine", "/openapi.json")]
        assert [httpx.get(url).status_code for url in urls] == [200, 200, 200]


def test_only_whole_segments_are_a_base():
    assert strip_base("/shop/predict", "/shop") == "/predict"
    assert strip_base("/shop", "/shop") == "/"
    assert strip_base("/shopping", "/shop") == "/shopping"
    assert strip_base("/shop", "") == "/shop"
