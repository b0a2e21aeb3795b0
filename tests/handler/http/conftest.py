import dataclasses
import functools

import pytest

from handler.http.lambda_http import LambdaHttp
from handler.settings import Settings
from tests.helpers import http_service
from tests.helpers.http_service import LIMITS, Server, caller, make_models


@pytest.fixture
def make_service(tiny_classifier):
    """Return a function that makes a service; what it logs is in `.lines`, parsed."""
    return functools.partial(http_service.make_service, tiny_classifier)


@pytest.fixture
def service(make_service):
    return make_service()


@pytest.fixture(scope="session")
def lambda_http(tiny_classifier):
    return LambdaHttp(make_models(tiny_classifier), Settings(limits=LIMITS))


@pytest.fixture
def call(service):
    """Return a function: call("POST", "/predict", {...}) gives .status, .json, .headers."""
    return caller(service)


@pytest.fixture
def server(make_service):
    with Server(make_service(limits=dataclasses.replace(LIMITS, max_body_bytes=100_000))) as server:
        yield server
