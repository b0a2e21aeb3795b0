"""What stands in the artefact of `sam build`, and that it comes out the same every time."""

import hashlib
import http.client
import itertools
import os
import subprocess
import zipfile

import pytest

from handler.package import (
    HOSTS,
    MACHINES,
    RUNTIME,
    RUNTIMES,
    describe_sizes,
    served_requirements,
    zip_function,
)
from requirements.sbom import describe_folder
from tests.helpers.emulator import ROOT, wait_for_port
from tests.helpers.ports import free_port

pytestmark = [pytest.mark.sam, pytest.mark.slow]

MB = 1_000_000
SHIPPED_BUNDLE = ROOT / "handler" / "model"
UNCHECKED_HASH = b"\x01\x00\x00\x00"  # bit 0: by hash, bit 1 not set: never compared; PEP 552
ELF_MACHINES = {b"\x3e\x00": "x86_64", b"\xb7\x00": "arm64"}


def build(out, bundle, **variables):
    subprocess.run(
        ["make", "-s", "-C", ROOT / "handler", "build-MinnowFunction"],
        env={**os.environ, "ARTIFACTS_DIR": str(out), "BUNDLE": str(bundle), **variables},
        check=True,
    )


def fingerprints(folder):
    """Return path -> (sha256, time, mode) of every file below a folder."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime,
            path.stat().st_mode,
        )
        for path in folder.rglob("*")
        if path.is_file()
    }


def machines(folder):
    """Return the processors that the compiled modules are for, by their ELF header."""
    return {ELF_MACHINES[path.read_bytes()[18:20]] for path in folder.rglob("*.so")}


def test_function_is_small_and_so_is_its_zip(built_function, tmp_path):
    package = tmp_path / "function.zip"
    zip_function(built_function, package)

    total = sum(path.stat().st_size for path in built_function.rglob("*") if path.is_file())
    # The function here holds the tiny bundle, which weighs nothing beside the shipped one.
    bundle_mb = sum(path.stat().st_size for path in SHIPPED_BUNDLE.iterdir()) / MB
    assert total / MB + bundle_mb <= 110
    assert package.stat().st_size / MB + bundle_mb <= 35
    assert zipfile.ZipFile(package).testzip() is None
    assert describe_sizes(built_function, package).splitlines()[-1].startswith("total")


def test_function_holds_what_serves_and_nothing_else(built_function):
    parts = {path.name.split("-")[0] for path in built_function.iterdir()}

    assert {"handler", "numpy", "onnxruntime", "fastapi", "mangum"} <= parts
    assert not parts & {
        "tensorflow",
        "keras",
        "onnx",
        "tf2onnx",
        "uvicorn",
        "huggingface_hub",
        "bin",
    }
    assert not [path for path in built_function.rglob("*") if path.name in ("tests", "RECORD")]
    assert list(built_function.glob("numpy-*.dist-info/licenses"))


def test_every_source_is_compiled_and_never_compared_again(built_function):
    sources = list(built_function.rglob("*.py"))
    minor = RUNTIME.removeprefix("python").replace(".", "")

    compiled = list(built_function.rglob("*.pyc"))
    assert {path.read_bytes()[4:8] for path in compiled} == {UNCHECKED_HASH}
    assert {path.relative_to(built_function).parts[0] for path in sources} == {"handler"}
    for path in sources:
        assert (path.parent / "__pycache__" / f"{path.stem}.cpython-{minor}.pyc").is_file()


def test_arm64_wheels_are_for_arm64_and_a_release_is_other_code(
    sam, tiny_bundle, built_function, tmp_path
):
    # `make test-arm64` runs them.
    build(tmp_path / "arm64", tiny_bundle, ARCHITECTURE="arm64", RELEASE="new keys")

    assert (tmp_path / "arm64" / "release.txt").read_text() == "new keys\n"
    assert not (built_function / "release.txt").exists()
    assert (machines(tmp_path / "arm64"), machines(built_function)) == ({"arm64"}, {"x86_64"})


@pytest.fixture(scope="module")
def runtime_python():
    command = ["make", "-s", "--no-print-directory", "-C", ROOT / "handler", "runtime-python"]
    return subprocess.check_output(command, text=True).strip()


@pytest.fixture(scope="module")
def built_container(tiny_bundle, runtime_python, tmp_path_factory):
    """The folder /app of the image, in the two steps of the Dockerfile."""
    out = tmp_path_factory.mktemp("container") / "app"
    for half in ("packages", "handler"):
        command = [runtime_python, "-B", ROOT / "handler/package.py", "--host", "container"]
        command += ["--out", out, "--only", half, "--bundle", tiny_bundle]
        subprocess.run(command, check=True)
    return out


def test_the_container_is_the_function_and_its_server(built_container, built_function):
    container, function = fingerprints(built_container), fingerprints(built_function)

    shared = {path for path in container.keys() & function.keys() if not path.endswith(".pyc")}
    assert {path: container[path] for path in shared} == {path: function[path] for path in shared}
    assert packages(container) - packages(function) == {"click", "h11", "httptools", "uvicorn"}
    assert packages(function) - packages(container) == {
        "aws_lambda_powertools",
        "mangum",
        "zstandard",
    }


def packages(files):
    return {path.split("-")[0] for path in files if ".dist-info/" in path}


def test_the_container_serves_and_its_health_check_says_so(
    built_container, runtime_python, tmp_path
):
    port = free_port()
    variables = {"PATH": "/usr/bin:/bin", "PORT": str(port)}
    server = [runtime_python, "-S", "-m", "handler.hosts.server", "serve"]
    check = [runtime_python, "-I", "-S", built_container / "handler/hosts/health.py"]
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            server, env={**variables, "PYTHONPATH": str(built_container)}, stderr=output, cwd="/"
        )
    try:
        wait_for_port(port, process, log)
        statuses = [get_status(port, path) for path in ("/", "/docs", "/openapi.json", "/metrics")]
        healthy = subprocess.run(check, env=variables, check=False).returncode
    finally:
        process.terminate()
        process.wait(timeout=60)

    assert statuses == [200] * 4
    assert healthy == 0
    assert subprocess.run(check, env=variables, check=False).returncode == 1


def get_status(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()
    return status


def test_the_bill_of_materials_names_every_package_file_and_the_model(
    built_container, built_function
):
    for host, folder in (("container", built_container), ("function", built_function)):
        components = describe_folder(folder, host)["components"]

        installed = {path.name.split("-")[0] for path in folder.glob("*.dist-info")}
        libraries = [part for part in components if part.get("purl", "").startswith("pkg:pypi/")]
        assert {part["name"].replace("-", "_") for part in libraries} == installed
        assert all(part["licenses"] for part in libraries)
        assert all(part["externalReferences"][0]["hashes"] for part in libraries)
        files = [file for part in components for file in part.get("components", ())]
        assert {
            file["name"]: hashlib.sha256((folder / file["name"]).read_bytes()).hexdigest()
            for file in files
        } == {file["name"]: file["hashes"][0]["content"] for file in files}
        assert [part["name"] for part in components if part["type"] == "container"] == (
            ["docker.io/library/python"] if host == "container" else []
        )


def test_another_build_by_another_installer_gives_identical_files(
    sam, tiny_bundle, built_function, runtime_python, tmp_path
):
    tools = tmp_path / "tools"  # a PATH without uv
    tools.mkdir()
    for tool in ("bash", "sh", "make"):
        (tools / tool).symlink_to(subprocess.check_output(["which", tool], text=True).strip())

    build(tmp_path / "pip", tiny_bundle, PATH=str(tools), RUNTIME_PYTHON=runtime_python)

    assert fingerprints(tmp_path / "pip") == fingerprints(built_function)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_missing_python_is_an_error_that_says_how_to_get_it(tmp_path, runtime):
    command = ["make", "-C", ROOT / "handler", "build-MinnowFunction", f"RUNTIME={runtime}"]
    done = subprocess.run(
        [*command, f"ARTIFACTS_DIR={tmp_path}"],
        env={"PATH": "/usr/bin:/bin", "PYENV_ROOT": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    version = runtime.removeprefix("python")
    assert done.returncode != 0
    assert f"no Python {version} found" in done.stderr
    assert f"uv python install {version}" in done.stderr


def test_what_is_locked_has_wheels_for_every_runtime_and_processor(tmp_path):
    """By the registry's lists; their hashes are checked where a function is built of them."""
    lock = tmp_path / "served.txt"
    all_locked = (ROOT / "handler" / "requirements.txt").read_text()
    lock.write_text(served_requirements(all_locked, HOSTS["function"]))
    for runtime, machine in itertools.product(RUNTIMES, MACHINES.values()):
        command = ["uv", "pip", "install", "--dry-run", "-q", "--no-deps"]
        command += ["--only-binary", ":all:", "--target", tmp_path / "nothing", "-r", lock]
        command += ["--python-version", runtime.removeprefix("python")]
        command += ["--python-platform", f"{machine}-manylinux_2_34"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (runtime, machine, done.stderr)


def test_the_durable_function_holds_no_model_and_nothing_that_runs_one(tmp_path):
    subprocess.run(
        ["make", "-s", "-C", ROOT / "handler", "build-PeopleFunction"],
        env={**os.environ, "ARTIFACTS_DIR": str(tmp_path)},
        check=True,
    )

    names = {path.name for path in tmp_path.iterdir()}
    assert {"aws_durable_execution_sdk_python", "boto3", "handler"} <= names
    assert not names & {"fastapi", "numpy", "onnxruntime", "pyarrow"}
    assert not (tmp_path / "handler" / "model").exists()
    assert (tmp_path / "handler" / "durable" / "function.py").is_file()
    (backend,) = tmp_path.glob("zstandard/backend_c.*.so")
    assert ".cpython-313-" in backend.name
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 45 * MB
