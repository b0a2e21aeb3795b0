import pytest

from tests.helpers.http_service import LIMITS, Server, make_service


@pytest.fixture
def server(tiny_classifier):
    limits = LIMITS._replace(max_body_bytes=100_000)
    with Server(make_service(tiny_classifier, limits=limits)) as server:
        yield server
