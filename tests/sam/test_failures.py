"""A function that must not serve says why at its start; a poor environment does not stop it."""

import json
import shutil
import subprocess

import pytest

from tests.helpers.docker import docker
from tests.helpers.emulator import BASE_IMAGE, HANDLER, LAMBDA_PYTHON, Emulator, run_emulator

pytestmark = pytest.mark.slow


@pytest.fixture
def bundle(tiny_bundle, tmp_path):
    """A copy of the tiny bundle, to be spoiled."""
    return shutil.copytree(tiny_bundle, tmp_path / "bundle")


@pytest.fixture
def init_error(built_function, bundle, tmp_path):
    """Return the reply of a function that serves the spoiled bundle."""

    def invoke():
        environment = {"MINNOW_BUNDLE": str(bundle)}
        with run_emulator(built_function, tmp_path / "log", environment) as emulator:
            return emulator.invoke({"text": "good film"})

    return invoke


@pytest.mark.sam
def test_missing_bundle_names_the_file_and_the_command(bundle, init_error):
    shutil.rmtree(bundle)

    reply = init_error()

    assert reply["errorType"] == "MissingArtefactError"
    assert reply["errorMessage"] == (
        f"{bundle}/manifest.json: no such file. A bundle is made by: minnow export RUN --out BUNDLE"
    )


@pytest.mark.sam
def test_changed_model_names_the_file_and_both_hashes(bundle, init_error):
    model = bundle / "model.onnx"
    model.write_bytes(model.read_bytes() + b"\0")

    reply = init_error()

    assert reply["errorType"] == "ArtefactError"
    assert reply["errorMessage"].startswith(f"{model}: sha256 is ")
    assert "copy the bundle again, or export it again" in reply["errorMessage"]


@pytest.mark.sam
def test_bundle_of_a_precision_that_is_not_known_is_named(bundle, init_error):
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["precision"] = "float16"
    (bundle / "manifest.json").write_text(json.dumps(manifest))

    reply = init_error()

    assert reply["errorType"] == "ArtefactError"
    assert "precision is 'float16', wanted 'int8' or 'float32'" in reply["errorMessage"]


@pytest.mark.sam
def test_wrong_variable_is_named(built_function, tmp_path):
    with run_emulator(built_function, tmp_path / "log", {"MINNOW_THREADS": "many"}) as emulator:
        reply = emulator.invoke({"text": "good film"})

    assert reply["errorMessage"] == (
        "MINNOW_THREADS is 'many', wanted a whole number from 1 to 2147483647"
    )


SNAPSHOT = """
import sys
from handler import function
from snapshot_restore_py import get_after_restore, get_before_snapshot
for hook, arguments, options in get_before_snapshot():
    hook(*arguments, **options)
assert {"fastapi", "boto3"} <= set(sys.modules), "something is not in the snapshot"
import random
drawn = []
for _ in range(2):  # two environments restored from one snapshot
    random.seed(7)
    for hook, arguments, options in get_after_restore():
        hook(*arguments, **options)
    drawn.append(random.random())
assert drawn[0] != drawn[1], "restored environments share their random numbers"
classifier = function.MODELS.default.classifier
golden = classifier.manifest.golden._replace(outputs=(0.5, 0.5))
classifier.manifest = classifier.manifest._replace(golden=golden)
for hook, arguments, options in get_after_restore():
    hook(*arguments, **options)
"""


@pytest.mark.sam
def test_snapshot_is_warm_and_each_restore_seeds_and_checks_the_model(built_function):
    done = subprocess.run(
        [LAMBDA_PYTHON, "-c", SNAPSHOT],
        cwd=built_function,
        env={"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"},
        capture_output=True,
        text=True,
        check=False,
    )

    # The last restore is on a machine where the golden text comes out differently.
    assert "manifest.json: the golden text's outputs are off" in done.stderr


@pytest.fixture
def boxed(docker_engine, built_function, tmp_path):
    """Invoke the function once in a container with these options; return reply and log."""
    names = []

    def invoke(*options):
        names.append(f"minnow-{tmp_path.parent.name}-{tmp_path.name}"[:60])
        command = ["run", "--detach", "--name", names[-1], "--publish", "127.0.0.1::8080"]
        command += ["--volume", f"{built_function}:/var/task:ro", *options, BASE_IMAGE, HANDLER]
        started = docker(*command)
        assert started.returncode == 0, started.stderr
        port = docker("port", names[-1], "8080/tcp").stdout.splitlines()[0].rsplit(":", 1)[1]
        reply = Emulator(int(port), tmp_path / "log").invoke_when_ready({"text": "good film"})
        logs = docker("logs", names[-1])
        return reply, logs.stdout + logs.stderr

    yield invoke
    for name in names:
        docker("rm", "--force", "--volumes", name)


@pytest.mark.docker
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("--tmpfs", "/tmp:size=4k"), id="tmp is full"),
        pytest.param(("--tmpfs", "/tmp:ro"), id="everything is read-only"),
        pytest.param(("--tmpfs", "/tmp", "--memory", "256m"), id="256 MB"),
    ],
)
def test_function_answers_where_it_can_write_nothing(boxed, options):
    reply, log = boxed("--read-only", "--network", "bridge", *options)

    assert reply["predictions"][0]["label"] == "pos"
    assert "telemetry" not in log


@pytest.mark.docker
def test_no_memory_left_is_told_by_the_platform(boxed):
    reply, log = boxed("--memory", "24m", "--memory-swap", "24m")

    assert reply is None
    assert "Runtime exited with error: signal: killed" in log
