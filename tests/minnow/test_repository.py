"""`minnow push`, `minnow promote` and `minnow models`."""

import json

import pytest

from minnow.cli import main


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Return a function that runs a command: its exit code, what it printed and complained."""
    monkeypatch.delenv("MINNOW_MODELS", raising=False)

    def run_command(*arguments):
        code = main([str(argument) for argument in arguments])
        out, errors = capsys.readouterr()
        return code, out, errors

    return run_command


def test_a_bundle_is_pushed_promoted_listed_and_taken_back(run, tiny_bundle, tmp_path):
    place = tmp_path / "models"

    assert run("push", tiny_bundle, place)[1] == (
        f"model tiny, version 1, in {place}\nnext: minnow promote tiny 1 --models {place}\n"
    )
    run("push", tiny_bundle, place, "--alias", "live")
    assert run("promote", "tiny", 1, "--models", place) == (
        0,
        f"model tiny: live is version 1, in {place}\n",
        "",
    )
    listed = [line.split("\t") for line in run("models", place)[1].splitlines()]
    assert [row[:3] for row in listed] == [["tiny", "1", "live"], ["tiny", "2", "-"]]
    assert listed[0][5] == "accuracy 1"


def test_json_has_all_of_it(run, tiny_bundle, tmp_path):
    place = tmp_path / "models"

    pushed = json.loads(run("push", tiny_bundle, place, "--name", "films", "--json")[1])
    listed = json.loads(run("models", place, "--json")[1])["versions"]

    assert (pushed["name"], pushed["version"], len(pushed["sha256"])) == ("films", 1, 64)
    assert listed[0]["sha256"] == pushed["sha256"]
    assert listed[0]["exported_as"] == "tiny 1"


def test_the_repository_may_be_named_by_the_variable(run, tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("MINNOW_MODELS", str(tmp_path / "models"))

    assert run("push", tiny_bundle)[0] == 0
    assert run("promote", "tiny", 1)[0] == 0
    assert run("models")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("models",), "which repository? Name a folder or s3://BUCKET/PREFIX/"),
        (("models", "PLACE"), "no such folder"),
        (("models", "gs://bucket/x/"), "wanted one of s3://NAME"),
        (("promote", "tiny", "1", "--models", "PLACE"), "model tiny has no version 1"),
        (("promote", "../x", "1", "--models", "PLACE"), "wanted letters from a to z"),
        (("push", "BUNDLE", "PLACE", "--name", "a/b"), "wanted letters from a to z"),
        (("push", "BUNDLE", "PLACE", "--alias", "7"), "wanted a name that is no number"),
        (("push", "nowhere", "PLACE"), "manifest.json: no such file"),
    ],
)
def test_what_cannot_be_is_one_line(run, tiny_bundle, tmp_path, arguments, message):
    place = {"PLACE": tmp_path / "models", "BUNDLE": tiny_bundle}

    code, out, errors = run(*(place.get(argument, argument) for argument in arguments))

    assert (code, out, errors.count("\n")) == (1, "", 1)
    assert message in errors
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("command", ["push", "promote"])
def test_what_the_environment_would_not_serve_is_not_promoted(
    run, tiny_bundle, tmp_path, monkeypatch, command
):
    place = tmp_path / "models"
    pushed = run("push", tiny_bundle, place)
    arguments = {"push": (tiny_bundle, place), "promote": ("tiny", 1, "--models", place)}
    monkeypatch.setenv("MINNOW_BUNDLE_SHA256", "0" * 64)

    code, _, errors = run(command, *arguments[command])

    assert (pushed[0], code) == (0, 1)
    assert "MINNOW_BUNDLE_SHA256 wants" in errors


def test_a_version_is_tried_listed_and_taken_back(run, tiny_bundle, tmp_path):
    place = tmp_path / "models"
    for alias in ((), ("--alias", "live"), ()):
        run("push", tiny_bundle, place, *alias)

    tried = run("promote", "tiny", 3, "--canary", "5%", "--shadow", "1", "--models", place)

    assert tried == (
        0,
        f"model tiny: version 3 is tried beside live: canary for 5 % and shadow for 100 %, in "
        f"{place}\n",
        "",
    )
    listed = [line.split("\t")[:3] for line in run("models", place)[1].splitlines()]
    assert listed == [
        ["tiny", "1", "-"],
        ["tiny", "2", "live"],
        ["tiny", "3", "live canary 5 %, live shadow 100 %"],
    ]
    versions = json.loads(run("models", place, "--json")[1])["versions"]
    assert versions[2]["tried"][0] == {"alias": "live", "as": "canary", "share": 0.05}
    assert run("promote", "tiny", 2, "--models", place)[0] == 0
    assert run("models", place)[1].count("canary") == 0


@pytest.mark.parametrize("share", ["0", "0%", "101%", "1.5", "-5%", "five", "%", "nan", ""])
@pytest.mark.parametrize("name", ["--canary", "--shadow"])
def test_a_share_that_is_none_is_refused(run, tiny_bundle, tmp_path, name, share):
    place = tmp_path / "models"
    run("push", tiny_bundle, place, "--alias", "live")
    run("push", tiny_bundle, place)

    code, out, errors = run("promote", "tiny", 2, f"{name}={share}", "--models", place)

    assert (code, out) == (2, "")
    assert "is no share of the requests, wanted 5% or 0.05" in errors


@pytest.mark.parametrize(
    ("version", "alias", "message"),
    [
        (1, "live", "model tiny: version 1 is live itself. Try another one beside it"),
        (2, "candidate", "model tiny: no version is candidate yet"),
        (9, "live", "model tiny has no version 9"),
    ],
)
def test_what_cannot_be_tried_is_one_line(run, tiny_bundle, tmp_path, version, alias, message):
    place = tmp_path / "models"
    run("push", tiny_bundle, place, "--alias", "live")
    run("push", tiny_bundle, place)

    code, out, errors = run(
        "promote", "tiny", version, "--alias", alias, "--canary", "5%", "--models", place
    )

    assert (code, out, errors.count("\n")) == (1, "", 1)
    assert message in errors
    assert run("models", place)[1].count("canary") == 0
