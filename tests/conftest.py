import signal
from pathlib import Path

import pytest

from handler.inference.classifier import Classifier, load_classifier
from tests.helpers.paths import TESTS
from tests.helpers.selective_bundle import write_selective_bundle

# A shell starts what runs in the background with Ctrl-C ignored, and so would all be that is
# started here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tiny_bundle() -> Path:
    return TESTS / "tiny_bundle"


@pytest.fixture(scope="session")
def tiny_classifier(tiny_bundle: Path) -> Classifier:
    return load_classifier(tiny_bundle)


@pytest.fixture(scope="session")
def selective_bundle(tiny_bundle: Path, tmp_path_factory) -> Path:
    """The tiny bundle that does not answer every text, and has label sets."""
    return write_selective_bundle(tiny_bundle, tmp_path_factory.mktemp("selective") / "tiny")


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory) -> Path:
    from tests.helpers.tiny_run import write_tiny_data

    return write_tiny_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def tiny_run(tiny_data: Path, tmp_path_factory) -> Path:
    """A finished run, trained once a session; copy it before changing it."""
    # Imported here: tests/handler also runs where tensorflow is not installed.
    from tests.helpers.tiny_run import SETTINGS
    from training.rows.data import Sources
    from training.train import train_run

    out = tmp_path_factory.mktemp("runs") / "tiny"
    return train_run(Sources(tiny_data), out, SETTINGS).folder


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    """The wheel, as `pip` builds it of this checkout."""
    from tests.helpers.wheel import build_wheel  # not in every environment: hatchling

    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def wheel_python(wheel: Path, tmp_path_factory) -> Path:
    """The Python of an environment where the wheel is installed, and nothing of this checkout."""
    from tests.helpers.wheel import install_wheel

    return install_wheel(wheel, tmp_path_factory.mktemp("installed") / "venv")
