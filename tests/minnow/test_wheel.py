"""The wheel brings one name, `minnow`, and works beside modules called as our folders are."""

import ast
import hashlib
import json
import os
import urllib.request
import zipfile

import pytest

from minnow.nested import FOLDERS, restore_imports
from minnow.project.file_list import SHARED
from tests.helpers.http_events import make_event
from tests.helpers.paths import ROOT
from tests.helpers.served import serve_bundle
from tests.helpers.wheel import build_wheel, run_installed

pytestmark = pytest.mark.slow

TINY = ["--recipe", "stacked", "--vocab-size", "50", "--max-length", "32", "--embedding-dim", "8"]
TINY += ["--units", "8", "--epochs", "1", "--quiet"]
OWN = 'NAME = "mine"\n'
APP = """
import export, handler, json, training
import minnow

model = minnow.load("bundle")
print(json.dumps([module.NAME for module in (export, handler, training)]))
print(json.dumps(model.predict(["good film"])))
"""


def read_sources(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".py")]
        return {name: archive.read(name).decode() for name in names}


def find_roots(source):
    """Return the first part of every module that a source imports, wherever in it."""
    nodes = [*ast.walk(ast.parse(source))]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[0] for name in names}


def test_only_minnow_is_importable(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name.split("/")[0] for name in archive.namelist()}

    assert {name for name in names if not name.endswith(".dist-info")} == {"minnow"}


def test_no_module_of_it_imports_a_folder_of_the_checkout(wheel):
    sources = read_sources(wheel)

    assert {f"minnow/{folder}/__init__.py" for folder in FOLDERS} <= sources.keys()
    assert {name: bad for name, s in sources.items() if (bad := find_roots(s) & {*FOLDERS})} == {}


def test_it_holds_every_file_of_the_folders_and_of_a_project(wheel):
    wanted = {
        f"minnow/{path.relative_to(ROOT).as_posix()}": path
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    wanted |= {f"minnow/project/files/{name}": ROOT / path for name, path in SHARED.items()}

    with zipfile.ZipFile(wheel) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}

    assert wanted.keys() <= held.keys()
    for name, path in wanted.items():
        content = held[name]
        if path.suffix == ".py":
            content = restore_imports(content.decode()).encode()
        assert content == path.read_bytes(), name


def test_it_is_built_the_same_every_time(wheel, tmp_path):
    again = build_wheel(tmp_path)

    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (wheel, again)}
    assert len(digests) == 1


@pytest.fixture(scope="module")
def users_folder(tmp_path_factory):
    """A folder with modules that are called as ours are."""
    folder = tmp_path_factory.mktemp("user")
    for name in FOLDERS:
        (folder / f"{name}.py").write_text(OWN)
    return folder


def test_a_command_beside_ones_own_modules_answers_and_says_what_is_wrong(
    wheel_python, users_folder, tiny_bundle, tmp_path
):
    event = tmp_path / "event.json"
    event.write_text(json.dumps(make_event("http_v2", "POST", "/predict", {"text": "good film"})))
    invoke = ("-m", "minnow", "invoke", event, "--bundle", tiny_bundle)

    reply = json.loads(run_installed(wheel_python, *invoke, cwd=users_folder).stdout)

    assert (reply["statusCode"], json.loads(reply["body"])["model"]["name"]) == (200, "tiny")
    with pytest.raises(AssertionError, match="minnow: nowhere/manifest.json: .*\n$"):
        run_installed(wheel_python, *("-m", "minnow", "inspect", "nowhere"), cwd=users_folder)


def test_it_trains_exports_and_serves_beside_ones_own_modules(
    wheel_python, users_folder, tiny_data
):
    script = wheel_python.with_name("minnow")

    def run(python, *command):
        return run_installed(python, *command, cwd=users_folder).stdout

    run(wheel_python, "-m", "minnow", "train", tiny_data, "--out", "run", *TINY)
    run(script, "export", "run", "--out", "bundle")
    (users_folder / "app.py").write_text(APP)
    names, predictions = map(json.loads, run(wheel_python, "app.py").splitlines())

    assert names == ["mine", "mine", "mine"]
    environment = {"PYTHONPATH": "", "PATH": os.environ["PATH"]}
    serving = serve_bundle("bundle", python=wheel_python, cwd=users_folder, **environment)
    with serving as served:
        body = json.dumps({"text": "good film"}).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"{served.url}/predict", body, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert json.loads(answer.read())["predictions"] == predictions
