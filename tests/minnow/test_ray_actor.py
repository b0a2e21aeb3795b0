"""What an actor of `minnow score --engine ray` does, in this process and without Ray."""

import pickle

import pytest

from handler.errors import ArtefactError, InvalidInput
from handler.files import holding
from handler.hosts.bulk import score_files
from handler.hosts.score_plan import make_plan
from handler.hosts.shards import Shard
from minnow import ray_actor
from minnow.bundle_files import open_place, recording
from minnow.cli import main
from minnow.ray_actor import Actor, read_version


def open_actor(bundle, folder, version=None):
    from handler.inference.bundle import check_bundle

    files = {}
    check_bundle(bundle, recording(open_place(str(bundle)), files))
    actor = Actor()
    outcome = actor.open("nowhere", files, str(folder), version or read_version())
    return actor, outcome


@pytest.fixture
def actor(tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    actor, outcome = open_actor(tiny_bundle, tmp_path)
    assert outcome == (None, None)
    return actor


def share_of(classifier, name, out):
    plan = make_plan([name], out)
    return pickle.loads(pickle.dumps(plan.share(classifier, Shard(0, 1))))


def test_a_file_is_scored_as_by_the_command(actor, tiny_bundle, tiny_classifier, tmp_path):
    (tmp_path / "a.csv").write_text("text\ngood film\nbad\n" + "long " * 5000 + "\n")
    (plain,) = score_files(tiny_bundle, ["a.csv"], "plain/")

    outcome = actor.score(share_of(tiny_classifier, "a.csv", "out/"))

    (summary,) = pickle.loads(pickle.dumps(outcome)).result
    assert (summary.rows, summary.rejected) == (plain.rows, plain.rejected) == (3, 1)
    for name in ("a.csv", "a.csv.rejected"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    assert actor.score(share_of(tiny_classifier, "a.csv", "out/")).result == [summary]


def test_a_file_without_the_column_is_an_error_that_can_be_sent(actor, tiny_classifier, tmp_path):
    (tmp_path / "a.csv").write_text("number\n1\n")

    outcome = actor.score(share_of(tiny_classifier, "a.csv", "out/"))

    error = pickle.loads(pickle.dumps(outcome)).error
    assert type(error) is InvalidInput
    assert "none of the file's 1 columns is named text" in str(error)


def test_what_another_process_holds_is_waited_for_a_while(
    actor, tiny_classifier, tmp_path, monkeypatch
):
    monkeypatch.setattr(ray_actor, "HELD_S", 0.0)
    monkeypatch.setattr(ray_actor, "LOOK_S", 0.0)
    (tmp_path / "a.csv").write_text("text\ngood\n")
    (tmp_path / "out").mkdir()
    share = share_of(tiny_classifier, "a.csv", "out/")

    with holding(tmp_path / "out" / "a.csv.partial", "out/a.csv"):
        outcome = actor.score(share)

    assert "is at work on it" in str(pickle.loads(pickle.dumps(outcome)).error)
    assert actor.score(share).error is None


def test_an_error_that_nobody_foresaw_has_no_text_of_a_user(actor):
    outcome = actor.predict(7)

    assert str(outcome.error).startswith("an actor failed (TypeError at ")


def test_another_version_is_refused(tiny_bundle, tmp_path):
    _, outcome = open_actor(tiny_bundle, tmp_path, "0.0.1")

    assert type(outcome.error) is ArtefactError
    assert "this is 0.0.1: install the same version everywhere" in str(outcome.error)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--address", "auto"], "--address: only with --engine ray"),
        (["--engine", "spark"], "'spark' is not one of 'ray'"),
        (["--engine", "ray", "--shard", "0/2"], "--shard: not with --engine"),
        (["--engine", "ray", "--review", "r.csv"], "--review: not with --engine"),
    ],
    ids=["address", "engine", "shard", "review"],
)
def test_what_an_engine_has_not_is_wrong_usage(options, told, tiny_bundle, capsys):
    assert main(["score", str(tiny_bundle), "a.csv", "--out", "b.csv", *options]) == 2

    assert told in capsys.readouterr().err
