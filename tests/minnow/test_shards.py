"""What `minnow score --shard` and `minnow shards` tell the user."""

import json

import pytest

from minnow.cli import main


@pytest.fixture
def command(tiny_bundle, tmp_path):
    (tmp_path / "a.csv").write_text("text\n" + "good film\n" * 1500)
    out = f"{tmp_path}/out/"
    return ["score", str(tiny_bundle), str(tmp_path / "a.csv"), "--out", out, "--quiet"]


def test_shards_are_told_to_be_missing_then_done(command, tmp_path, capsys):
    assert main([*command, "--shard", "0/2"]) == 0
    assert main(["shards", f"{tmp_path}/out/"]) == 1
    told = capsys.readouterr()
    assert told.out == f"{tmp_path}/out/a.part-00000-of-00002.csv\t1024 rows, 0 rejected\n"
    assert told.err == (
        f"minnow: {tmp_path}/out: 1 of 2 shards are not done: 1. Run them again: what they have "
        "done already is kept\n"
    )

    assert main([*command, "--shard", "1/2"]) == 0
    capsys.readouterr()
    assert main(["shards", f"{tmp_path}/out/"]) == 0

    assert capsys.readouterr().out == (
        f"{tmp_path}/out/_shards/manifest.json\tall 2 shards are done: 1,500 rows of 1 inputs, "
        "0 rejected\n"
    )


def test_the_manifest_is_one_object(command, tmp_path, capsys):
    assert main([*command, "--shard", "0/1"]) == 0
    capsys.readouterr()

    assert main(["shards", f"{tmp_path}/out", "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((tmp_path / "out" / "_shards" / "manifest.json").read_text())
    assert (found["num_shards"], found["rows"]) == (1, 1500)


def test_what_is_no_shard_is_wrong_usage(command, capsys):
    assert main([*command, "--shard", "2/2"]) == 2

    assert "'2/2' is no shard, wanted I/N with I from 0 to N-1" in capsys.readouterr().err
