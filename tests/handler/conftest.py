"""What tests of the handler are given: a service, and AWS on loopback."""

import functools

import pytest

from tests.helpers import http_service
from tests.helpers.moto import aws, moto_url

__all__ = ["aws", "moto_url"]


@pytest.fixture
def make_service(tiny_classifier):
    """Return a function that makes a service; what it logs is in `.lines`, parsed."""
    return functools.partial(http_service.make_service, tiny_classifier)
