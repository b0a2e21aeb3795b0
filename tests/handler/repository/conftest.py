from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from handler.repository.places import open_store
from tests.helpers.repositories import Shop


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a repository is that holds nothing yet: a folder, and S3."""
    if request.param == "folder":
        return str(tmp_path / "models")
    aws: Callable[[str], Any] = request.getfixturevalue("aws")
    where = {"LocationConstraint": "eu-west-1"}
    aws("s3").create_bucket(Bucket="models", CreateBucketConfiguration=where)
    return "s3://models/deep/er/"


@pytest.fixture
def shop(place: str, tiny_bundle: Path, tmp_path: Path) -> Shop:
    return Shop(open_store(place), tiny_bundle, tmp_path / "bundles")


@pytest.fixture
def folder_shop(tiny_bundle: Path, tmp_path: Path) -> Shop:
    return Shop(open_store(str(tmp_path / "models")), tiny_bundle, tmp_path / "bundles")
