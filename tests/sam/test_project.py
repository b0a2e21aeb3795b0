"""`minnow init` and `minnow package` of the installed wheel, where no checkout is found."""

import hashlib
import json
import os
import shutil
import subprocess
import zipfile

import pytest

from handler.package import zip_function
from tests.helpers.emulator import run_emulator
from tests.helpers.http_events import make_event
from tests.helpers.wheel import run_installed

pytestmark = [pytest.mark.sam, pytest.mark.slow]


@pytest.fixture(scope="module")
def project(wheel_python, tiny_bundle, tmp_path_factory):
    folder = tmp_path_factory.mktemp("projects")
    command = ("-m", "minnow", "init", "reviews", "--bundle", tiny_bundle)
    run_installed(wheel_python, *command, cwd=folder)
    return folder / "reviews"


@pytest.fixture(scope="module")
def project_function(sam, project):
    """What `sam build` makes of the project, which has nothing beside it."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(
        [sam, "build"], cwd=project, env={**variables, "SAM_CLI_TELEMETRY": "0"}, check=True
    )
    return project / ".aws-sam" / "build" / "MinnowFunction"


def hash_files(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_project_builds_the_function_that_the_checkout_builds(project_function, built_function):
    assert hash_files(project_function) == hash_files(built_function)


def test_the_function_of_a_project_answers(project, project_function, tmp_path):
    with run_emulator(project_function, tmp_path / "log") as emulator:
        request = json.loads((project / "events" / "http_predict.json").read_text())
        reply = emulator.invoke(request)
        direct = emulator.invoke(json.loads((project / "events" / "direct_text.json").read_text()))

    (prediction,) = json.loads(reply["body"])["predictions"]
    assert (reply["statusCode"], prediction["label"]) == (200, "pos")
    assert direct["predictions"] == [prediction]


def test_a_packaged_function_is_the_built_one_and_answers(
    sam, wheel_python, tiny_bundle, built_function, tmp_path
):
    command = ("-m", "minnow", "package", tiny_bundle, "--out", "function.zip")

    table = run_installed(wheel_python, *command, cwd=tmp_path).stdout

    zip_function(built_function, tmp_path / "made.zip")
    package = tmp_path / "function.zip"
    assert package.read_bytes() == (tmp_path / "made.zip").read_bytes()
    assert table.splitlines()[-1].startswith("total")
    zipfile.ZipFile(package).extractall(tmp_path / "task")
    with run_emulator(tmp_path / "task", tmp_path / "log") as emulator:
        reply = emulator.invoke(make_event("http_v2", "POST", "/predict", {"text": "good film"}))
    assert json.loads(reply["body"])["model"]["name"] == "tiny"


def test_a_project_whose_lock_was_changed_is_not_built(sam, project, tmp_path):
    changed = tmp_path / "project"
    shutil.copytree(project, changed, ignore=shutil.ignore_patterns(".aws-sam"))
    lock = changed / "handler" / "requirements.txt"
    lock.write_text(lock.read_text().replace("--hash=sha256:", "--hash=sha256:0000"))

    done = subprocess.run(
        [sam, "build"],
        cwd=changed,
        env={**os.environ, "SAM_CLI_TELEMETRY": "0"},
        capture_output=True,
        text=True,
    )

    assert done.returncode
    assert "hash" in done.stderr.lower()
