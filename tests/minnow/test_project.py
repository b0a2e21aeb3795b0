"""`minnow init` writes a project that is complete; `minnow package` says what it cannot do."""

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from minnow.cli import main
from minnow.project import function
from minnow.project.file_list import OWN, SHARED, find_files
from minnow.project.function import SHIPPED_BUNDLE
from minnow.project.project import MARK, name_stack
from tests.helpers.fresh_python import run_python
from tests.helpers.paths import ROOT


@pytest.fixture
def project(tiny_bundle, tmp_path, capsys):
    folder = tmp_path / "My Reviews"
    assert main(["init", str(folder), "--bundle", str(tiny_bundle)]) == 0
    capsys.readouterr()
    return folder


def read_files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_a_project_is_the_checkouts_function_and_template(project, tiny_bundle):
    files = read_files(project)

    function = {f"handler/{name}" for name in read_files(ROOT / "handler")}
    bundle = {f"handler/model/{name}": text for name, text in read_files(tiny_bundle).items()}
    assert function | {*SHARED} | {*OWN} - {"gitignore"} | {".gitignore", MARK} == files.keys()
    for name in function - bundle.keys():
        assert files[name] == (ROOT / name).read_bytes(), name
    assert {name: files[name] for name in bundle} == bundle
    assert files["template.yaml"] == (ROOT / "template.yaml").read_bytes()


def test_its_stacks_have_its_name(project):
    wanted = tomllib.loads((ROOT / "samconfig.toml").read_text())
    wanted["default"]["global"]["parameters"]["stack_name"] = "my-reviews-dev"
    wanted["prod"]["global"]["parameters"]["stack_name"] = "my-reviews-prod"
    wanted["people"]["global"]["parameters"]["stack_name"] = "my-reviews-dev-people"
    overrides = wanted["people"]["deploy"]["parameters"]["parameter_overrides"]
    overrides[overrides.index("Stack=minnow-dev")] = "Stack=my-reviews-dev"

    assert tomllib.loads((project / "samconfig.toml").read_text()) == wanted


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("reviews", "reviews"),
        ("My_Reviews.2", "my-reviews-2"),
        ("2026-tickets", "tickets"),
        ("Отзывы", "minnow"),
        ("a" * 99, "a" * 24),
        ("abcdefghijklmnopqrstuvw-yz", "abcdefghijklmnopqrstuvw"),
    ],
)
def test_a_stacks_name_may_be_part_of_a_buckets(folder, name, tmp_path):
    assert name_stack(tmp_path / folder) == name


@pytest.mark.slow
def test_its_own_tests_pass(project):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]

    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=240)

    assert (done.returncode, done.stdout.splitlines()[-1][:8]) == (0, "7 passed"), done.stdout


def test_the_shipped_bundle_is_the_default(tmp_path, capsys):
    assert main(["init", str(tmp_path / "films"), "--json"]) == 0

    assert json.loads(capsys.readouterr().out) == {
        "folder": str(tmp_path / "films"),
        "stack": "films-dev",
    }
    assert read_files(tmp_path / "films" / "handler" / "model") == read_files(SHIPPED_BUNDLE)


def test_a_project_needs_no_extra(tmp_path):
    code = """
        import sys
        from minnow.extras import EXTRAS
        sys.modules |= dict.fromkeys(EXTRAS)
        from minnow.cli import main
        sys.exit(main(["init", sys.argv[1]]))
    """

    done = run_python(code, tmp_path / "films")

    assert (done.returncode, done.stderr.count("next: ")) == (0, 1), done.stderr


def test_every_file_of_a_project_is_there():
    assert [str(path) for path in find_files().values() if not path.is_file()] == []


def refuse(capsys, *command):
    """Return the one line by which a command refuses."""
    assert main([*map(str, command)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_folder_that_stands_is_replaced_only_with_force(project, tiny_bundle, capsys):
    before = read_files(project)

    line = refuse(capsys, "init", project)

    assert line == (
        f"minnow: {project}: exists already. Give another FOLDER, or --force to replace it."
    )
    assert read_files(project) == before
    (project / ".aws-sam").mkdir()  # SAM's own
    (project / ".aws-sam" / "build.toml").write_text("")
    (project / ".DS_Store").write_text("")  # of a file manager
    assert main(["init", str(project), "--force"]) == 0
    assert read_files(project / "handler" / "model") == read_files(SHIPPED_BUNDLE)
    assert [path.name for path in project.parent.iterdir()] == [project.name]


@pytest.mark.parametrize("changed", ["template.yaml", "handler/errors.py", "tests/test_mine.py"])
def test_what_people_changed_is_not_replaced_with_force_either(project, changed, capsys):
    with (project / changed).open("a") as file:
        file.write("# mine\n")
    before = read_files(project)

    line = refuse(capsys, "init", project, "--force")

    assert f"{changed} was changed since the project was made" in line
    assert read_files(project) == before


def test_a_file_that_was_removed_is_a_change_too(project, capsys):
    (project / "local.json").unlink()

    assert "local.json was changed" in refuse(capsys, "init", project, "--force")


def test_another_folder_is_never_replaced(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")

    line = refuse(capsys, "init", tmp_path, "--force")

    assert line.endswith("so nothing replaces it. Give another FOLDER.")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("record", ["{", "{}", '{"minnow": "1", "files": ["README.md"]}'])
def test_a_record_of_another_shape_proves_no_project(record, project, capsys):
    (project / MARK).write_text(record)

    assert "nothing replaces it" in refuse(capsys, "init", project, "--force")


@pytest.mark.parametrize("command", ["init", "package"])
def test_what_is_no_bundle_is_refused_and_nothing_is_left(command, tiny_bundle, tmp_path, capsys):
    broken = tmp_path / "broken"
    shutil.copytree(tiny_bundle, broken)
    (broken / "model.onnx").write_bytes(b"no model")
    options = [tmp_path / "out", "--bundle", broken]
    if command == "package":
        options = [broken, "--out", tmp_path / "out"]

    line = refuse(capsys, command, *options)

    assert str(broken / "model.onnx") in line
    assert [path.name for path in tmp_path.iterdir()] == ["broken"]


def test_a_package_replaces_no_file_without_force(tmp_path, capsys):
    out = tmp_path / "function.zip"
    out.write_text("mine")

    line = refuse(capsys, "package", "--out", out)

    assert line == f"minnow: {out}: exists already. Give another --out, or --force to replace it."
    assert out.read_text() == "mine"
    assert "is a folder" in refuse(capsys, "package", "--out", tmp_path, "--force")


def test_a_bundle_that_is_not_there_is_said_without_the_words_of_a_makefile(tmp_path, capsys):
    line = refuse(capsys, "init", tmp_path / "out", "--bundle", tmp_path / "gone")

    assert line == (
        f"minnow: {tmp_path}/gone/manifest.json: no such file. A bundle is made by: minnow export "
        "RUN --out BUNDLE"
    )


def test_a_place_where_no_zip_can_be_is_said_before_anything_is_built(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(function.subprocess, "run", None)  # would take minutes
    (tmp_path / "file").write_text("mine")

    assert main(["package", "--out", str(tmp_path / "file" / "function.zip")]) == 1

    assert capfd.readouterr().err.startswith(f"minnow: {tmp_path}/file: ")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_file_that_came_while_the_function_was_built_stays(tmp_path, capfd, monkeypatch):
    out = tmp_path / "function.zip"

    def build(command, **_):
        folder = Path(command[command.index("--out") + 1])
        folder.mkdir()
        (folder / "a.py").write_text("")
        out.write_text("mine")
        return CompletedProcess(command, 0)

    monkeypatch.setattr(function.subprocess, "run", build)

    assert main(["package", "--out", str(out)]) == 1

    assert f"{out}: exists already" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["function.zip"]
    assert out.read_text() == "mine"


def test_a_release_may_begin_with_a_hyphen(tmp_path, capfd, monkeypatch):
    commands = []
    monkeypatch.setattr(
        function.subprocess,
        "run",
        lambda command, **_: commands.append(command) or CompletedProcess(command, 1),
    )

    assert main(["package", "--out", str(tmp_path / "a.zip"), "--release=-x"]) == 1

    assert "--release=-x" in commands[0]


def test_a_function_that_is_not_built_is_no_zip(tmp_path, capfd, monkeypatch):
    """There is no Python of the runtime's."""
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    monkeypatch.setenv("PYENV_ROOT", str(empty))

    command = ["package", "--out", str(tmp_path / "function.zip"), "--runtime", "python3.14"]
    assert main(command) == 1

    assert not (tmp_path / "function.zip").exists()
    error = capfd.readouterr().err
    assert "package: no Python 3.14 found" in error
    assert error.splitlines()[-1].endswith("the function could not be built; why, stands above")
