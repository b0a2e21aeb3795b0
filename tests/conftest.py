from pathlib import Path

import pytest

from handler.classifier import Classifier, load_classifier

TESTS = Path(__file__).parent


@pytest.fixture(scope="session")
def tiny_bundle() -> Path:
    return TESTS / "tiny_bundle"


@pytest.fixture(scope="session")
def tiny_classifier(tiny_bundle: Path) -> Classifier:
    return load_classifier(tiny_bundle)
