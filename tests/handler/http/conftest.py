import pytest

from handler.http.lambda_http import LambdaHttp
from handler.settings import Settings
from tests.helpers.http_service import LIMITS, Server, caller, make_models


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
    with Server(make_service(limits=LIMITS._replace(max_body_bytes=100_000))) as server:
        yield server
