import functools

import pytest

from tests.helpers import http_service


@pytest.fixture
def make_service(tiny_classifier):
    """Return a function that makes a service; what it logs is in `.lines`, parsed."""
    return functools.partial(http_service.make_service, tiny_classifier)
