"""A variable of the environment is used, or refused in one line that names it."""

import re

import pytest

from handler.errors import SettingsError
from handler.hosts.server import read_port
from handler.settings import read_settings


@pytest.mark.parametrize("value", ["many", "0", "-1", "1.5", "²", "9" * 5000, str(2**31)])
@pytest.mark.parametrize("name", ["MINNOW_THREADS", "MINNOW_MAX_TEXTS", "MINNOW_MAX_CONCURRENCY"])
def test_a_number_that_cannot_be_meant_is_named(name, value):
    with pytest.raises(SettingsError, match=re.escape(f"{name} is '{value[:20]}")) as caught:
        read_settings({name: value})

    assert len(str(caught.value)) < 120


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"MINNOW_BUNDLE": "b"}, "MINNOW_MODELS is 'm' and MINNOW_BUNDLE is 'b', wanted one"),
        ({"MINNOW_MODELS_CONTROL": "yes"}, "MINNOW_MODELS_CONTROL is 'yes', wanted on or off"),
        ({"MINNOW_MODELS_MB": "0"}, "MINNOW_MODELS_MB is '0', wanted a whole number from 1"),
        ({"MINNOW_MODELS_REFRESH_S": "1.5"}, "MINNOW_MODELS_REFRESH_S is '1.5', wanted a whole"),
        ({"MINNOW_MODELS_REFRESH_S": "9" * 5000}, "wanted a whole number from 1 to 86400"),
    ],
)
def test_what_a_repository_cannot_mean_is_named(variables, message):
    with pytest.raises(SettingsError, match=message):
        read_settings({"MINNOW_MODELS": "m", **variables})


def test_a_repository_takes_two_thirds_of_a_functions_memory():
    function = {"MINNOW_MODELS": "m", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769"}

    assert read_settings({"MINNOW_MODELS_MB": "5"}).repository is None
    assert read_settings({"MINNOW_MODELS": "m"}).repository.most_mb == 1000
    assert read_settings(function).repository.most_mb == 1179
    assert read_settings({**function, "MINNOW_MODELS_MB": "5"}).repository.most_mb == 5


def test_no_rate_is_no_limit():
    limits = [read_settings({"MINNOW_RATE_LIMIT": value}).http.rate_limit for value in ("", "0")]

    assert limits == [0, 0]
    assert read_settings({"MINNOW_RATE_LIMIT": "5"}).http.rate_limit == 5


@pytest.mark.parametrize("value", ["", ",", "A" * 64, f"{'a' * 64}, {'0' * 64}"])
def test_the_hashes_of_bundles_are_read(value):
    found = read_settings({"MINNOW_BUNDLE_SHA256": value}).trust.sha256

    assert list(found) == value.lower().replace(" ", "").replace(",", "\n").split()


@pytest.mark.parametrize("value", ["a" * 63, "a" * 65, "g" * 64, "sha256:" + "a" * 64, "latest"])
def test_a_hash_that_cannot_be_one_is_named(value):
    with pytest.raises(SettingsError, match="^MINNOW_BUNDLE_SHA256 is .*`minnow inspect BUNDLE`"):
        read_settings({"MINNOW_BUNDLE_SHA256": value})


@pytest.mark.parametrize("value", ["0", "65536", "http", "9" * 5000])
def test_a_port_that_cannot_be_meant_is_named(value):
    with pytest.raises(SettingsError, match="^PORT is .*wanted a port, 1 to 65535"):
        read_port({"PORT": value})


@pytest.mark.parametrize(
    ("value", "base"),
    [
        ("", ""),
        ("/", ""),
        ("shop", "/shop"),
        ("/shop/", "/shop"),
        ("/shop/v1.2", "/shop/v1.2"),
    ],
)
def test_a_base_path_is_read_with_and_without_slashes(value, base):
    assert read_settings({"MINNOW_BASE_PATH": value}).http.base_path == base


@pytest.mark.parametrize("value", ["https://shop.example/", "/a b", "/a//b", "/a?b", "/{proxy+}"])
def test_a_base_path_that_cannot_be_meant_is_named(value):
    with pytest.raises(SettingsError, match=re.escape(f"MINNOW_BASE_PATH is {value!r}")):
        read_settings({"MINNOW_BASE_PATH": value})
