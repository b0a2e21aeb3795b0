import os
import subprocess
from pathlib import Path

import pytest

from tests.helpers.docker import docker
from tests.helpers.emulator import BASE_IMAGE, LAMBDA_PYTHON, ROOT, SAM
from tests.helpers.moto import aws, moto_url

__all__ = ["aws", "moto_url"]


@pytest.fixture(scope="session")
def sam() -> Path:
    """The `sam` command; missing tools are a failure, never a skip."""
    for tool in (SAM, LAMBDA_PYTHON):
        if not tool.exists():
            pytest.fail(f"{tool} is missing: make sam-env", pytrace=False)
    return SAM


@pytest.fixture(scope="session")
def built_folder(sam, tiny_bundle, tmp_path_factory) -> Path:
    """What `sam build` makes of the template: `template.yaml` and one folder per function."""
    folder = tmp_path_factory.mktemp("build")
    subprocess.run(
        [sam, "build", "--build-dir", folder],
        cwd=ROOT,
        env={**os.environ, "BUNDLE": str(tiny_bundle), "SAM_CLI_TELEMETRY": "0"},
        check=True,
    )
    return folder


@pytest.fixture(scope="session")
def built_function(built_folder) -> Path:
    return built_folder / "MinnowFunction"


@pytest.fixture(scope="session")
def docker_engine() -> list[str]:
    """Options for `sam local`; no answering engine is a failure, never a skip."""
    found = docker("version")
    if found.returncode:
        pytest.fail(f"no Docker engine answers ({found.stderr.strip()}): start one", pytrace=False)
    # An image that is there serves: the stand-in where nothing can be pulled, or an earlier pull.
    has_image = docker("image", "inspect", BASE_IMAGE).returncode == 0
    return ["--skip-pull-image"] if has_image else []
