"""What is installed, built on and shipped is pinned by hashes, which stand in this repository."""

import json
import re
import subprocess
import sys

import pytest

from handler.package import BLOCK, HOSTS, served_requirements
from requirements.vendored import VendorError, check_files
from tests.helpers.paths import ROOT

LOCKS = [ROOT / "handler/requirements.txt", *sorted((ROOT / "requirements").glob("*.txt"))]
DOCKERFILES = (ROOT / "Dockerfile", ROOT / "Dockerfile.gpu")
VENDORED = json.loads((ROOT / "requirements/vendored.json").read_text())
OWN_STATIC = {"docs.html", "index.html"}


def pins(lock):
    """Return the pinned `name==version` of a lock file, with the marker of its platform."""
    return re.findall(r"^(\S+==[^\\\n]*[^\\\s])", lock, re.MULTILINE)


def names(requirements):
    return {block.split("==")[0] for block in BLOCK.findall(requirements)}


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_every_locked_package_has_a_version_and_hashes_and_no_address(path):
    lock = path.read_text()
    blocks = BLOCK.findall(lock)

    assert blocks
    assert len(blocks) == len(re.findall(r"^[^#\s]", lock, re.MULTILINE))
    assert [block for block in blocks if "==" not in block or "--hash=sha256:" not in block] == []
    assert "://" not in lock


def test_no_document_or_setting_holds_the_address_of_a_registry():
    rooms = ("docs", "requirements", "examples", "minnow/project", ".ci")
    paths = [path for path in ROOT.glob("*") if path.is_file()]
    paths += [path for room in rooms for path in (ROOT / room).rglob("*") if path.is_file()]
    texts = {path: path.read_text("utf-8", errors="replace") for path in paths}
    address = re.compile(r"://(?:[\w.-]+\.)?(?:pypi\.org|pythonhosted\.org)")

    assert ROOT / "README.md" in texts
    assert [path.name for path, text in texts.items() if address.search(text)] == []


def test_nothing_is_installed_without_its_hash():
    scripts = [ROOT / name for name in ("Makefile", ".ci/run", "Dockerfile", "Dockerfile.gpu")]
    installs = re.compile(r"^.*\bpip (?:install|sync)\b.*$", re.MULTILINE)
    found = [line for path in scripts for line in installs.findall(path.read_text())]

    assert found
    # Of this repository itself, built by what the lock file has brought.
    own = [line for line in found if "--no-deps --no-build-isolation -e ." in line]
    assert [line for line in found if "--require-hashes" not in line and line not in own] == []


def test_the_gpu_image_has_the_versions_of_the_others():
    other, gpu = (
        dict(pin.split(" ")[0].split("==") for pin in pins((ROOT / name).read_text()))
        for name in ("handler/requirements.txt", "requirements/gpu.txt")
    )

    shared = other.keys() & gpu.keys()
    assert {"fastapi", "uvicorn", "numpy"} <= shared
    assert {name: gpu[name] for name in shared} == {name: other[name] for name in shared}
    assert "onnxruntime-gpu" in gpu
    assert "onnxruntime" not in gpu


def test_both_images_build_on_one_base_by_its_digest():
    bases = {re.search(r"^ARG BASE=(.*)$", p.read_text(), re.MULTILINE)[1] for p in DOCKERFILES}

    (base,) = bases
    assert re.fullmatch(r"docker\.io/library/python:3\.12\S*@sha256:[0-9a-f]{64}", base)
    for path in DOCKERFILES:
        assert set(re.findall(r"^FROM (\S+)", path.read_text(), re.MULTILINE)) == {"${BASE}"}


def test_a_host_does_without_its_unused_packages_and_what_only_they_need():
    def block(name, *parents):
        via = "".join(f"    #   {parent}\n" for parent in parents)
        return f"{name}==1 \\\n    --hash=sha256:a\n    # via\n{via}"

    project = "minnow-maas (pyproject.toml)"
    fastapi, uvicorn, boto3 = (block(name, project) for name in ("fastapi", "uvicorn", "boto3"))
    h11, click = block("h11", "uvicorn"), block("click", "uvicorn", "typer")
    botocore = "botocore==1 \\\n    --hash=sha256:a\n    # via boto3\n"
    anyio = block("anyio", "fastapi", "httpx")
    lock = "# by uv\n" + anyio + boto3 + botocore + click + fastapi + h11 + uvicorn

    assert served_requirements(lock, HOSTS["function"]) == anyio + fastapi
    assert served_requirements(lock, HOSTS["container"]) == anyio + click + fastapi + h11 + uvicorn


def test_the_container_gets_the_functions_packages_and_a_server():
    lock = (ROOT / "handler/requirements.txt").read_text()
    function, container = (
        names(served_requirements(lock, HOSTS[host])) for host in ("function", "container")
    )

    assert {"fastapi", "numpy", "onnxruntime"} <= function & container
    assert {"uvicorn", "h11"} <= container - function
    assert function - container == {"aws-lambda-powertools", "mangum", "zstandard"}


def test_the_durable_function_gets_its_sdk_and_no_model():
    lock = (ROOT / "handler/requirements.txt").read_text()

    assert names(served_requirements(lock, HOSTS["durable"])) == {
        *("aws-durable-execution-sdk-python", "boto3", "botocore", "jmespath", "python-dateutil"),
        *("s3transfer", "six", "urllib3", "zstandard"),
    }


def test_vendored_files_are_as_published():
    done = subprocess.run(
        [sys.executable, ROOT / "requirements/vendored.py"], capture_output=True, text=True
    )

    assert (done.returncode, done.stderr) == (0, "")
    static = {path.name for path in (ROOT / "handler/http/static").iterdir()}
    listed = {file["path"].split("/")[-1] for package in VENDORED for file in package["files"]}
    assert static - OWN_STATIC == listed


def test_a_changed_vendored_file_is_named(tmp_path):
    file = VENDORED[0]["files"][0]
    path = tmp_path / file["path"]
    path.parent.mkdir(parents=True)
    path.write_bytes((ROOT / file["path"]).read_bytes() + b" ")

    with pytest.raises(VendorError, match=f"{file['path']} has the sha256 .* make vendor"):
        check_files(VENDORED[0], tmp_path)
