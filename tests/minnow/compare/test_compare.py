"""`minnow compare`, and what it reads: files of several forms, some of them broken."""

import gzip
import io
import json
import sys

import pytest

from handler.repository.aliases import write_alias, write_trials
from handler.repository.places import open_store
from minnow.cli import main
from tests.helpers.drawn_logs import Drawn, draw_lines, encode_lines

DRAWN = draw_lines(Drawn(requests=(300, 150), pairs=150), 3)


@pytest.fixture
def run(capsys, monkeypatch):
    """Return a function that runs a command: its exit code, what it printed and complained."""
    monkeypatch.delenv("MINNOW_MODELS", raising=False)

    def run_command(*arguments):
        code = main([str(argument) for argument in arguments])
        out, errors = capsys.readouterr()
        return code, out, errors

    return run_command


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "server.log"
    path.write_bytes(encode_lines(DRAWN))
    return path


def read_json(run, *arguments):
    code, out, errors = run("compare", "1", "2", *arguments, "--json")
    assert (code, errors) == (0, "")
    return json.loads(out)


def test_the_verdict_stands_last_and_the_exit_code_is_0(run, log):
    code, out, errors = run("compare", 1, 2, log)

    assert (code, errors) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "model films: version 2 beside version 1"
    assert lines[-1].startswith("verdict     no difference was seen in labels, scores")


def test_json_has_every_finding_and_all_counts(run, log):
    told = read_json(run, log)

    assert (told["model"], told["live"], told["candidate"]) == ("films", "1", "2")
    assert told["pairs"]["lines"] == 150
    assert told["lines"] == {"read": 600, "skipped": 0}
    names = {(one["question"], one["name"]) for one in told["findings"]}
    assert names == {
        ("errors", "requests"),
        ("latency", "model alone"),
        ("latency", "requests"),
        ("labels", "neg"),
        ("labels", "pos"),
        ("scores", "mean"),
    }
    assert 0.9 < told["agreement"]["value"] < 1
    assert all(one["low"] <= one["difference"] <= one["high"] for one in told["findings"])


def write_forms(tmp_path):
    """Write the same lines in each form that a log service has, and yield the files."""
    plain = encode_lines(DRAWN)
    lines = plain.splitlines()
    forms = {
        "plain.log": plain,
        "packed.log.gz": gzip.compress(plain),
        "tail.log": b"\n".join(
            b"2026-11-27T15:41:33.123000+00:00 2026/11/27/[$LATEST]0123 " + line for line in lines
        ),
        "lambda.log": b"START RequestId: 1 Version: 2\n" + plain + b"REPORT RequestId: 1\n\n",
        "docker.log": b"\n".join(
            json.dumps({"log": line.decode() + "\n", "stream": "stderr"}).encode() for line in lines
        ),
        "exported.log": b"\n".join(
            json.dumps({"timestamp": 1, "message": line.decode()}).encode() for line in lines
        ),
        "filtered.json": json.dumps(
            {"events": [{"message": line.decode() + "\n", "id": "1"} for line in lines]}, indent=4
        ).encode(),
        "cloud-run.log": b"\n".join(
            json.dumps({"jsonPayload": json.loads(line), "severity": "INFO"}).encode()
            for line in lines
        ),
        "behind.log": b"\n".join(b"{pod} " + line + b" behind" for line in lines),
        "crlf.log": plain.replace(b"\n", b"\r\n"),
    }
    for name, content in forms.items():
        (tmp_path / name).write_bytes(content)
        yield tmp_path / name


def test_every_form_of_a_log_tells_the_same(run, tmp_path, log, monkeypatch):
    wanted = read_json(run, log)

    assert [read_json(run, path) for path in write_forms(tmp_path)] == [wanted] * 10
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(log.read_bytes())))
    assert read_json(run, "-") == wanted
    halves = log.read_bytes().splitlines(keepends=True)
    for name, part in (("1.log", halves[:250]), ("2.log", halves[250:])):
        (tmp_path / name).write_bytes(b"".join(part))
    assert read_json(run, tmp_path / "1.log", tmp_path / "2.log") == wanted


def test_lines_of_other_models_versions_and_kinds_are_passed_over(run, tmp_path, log):
    wanted = read_json(run, log)
    others = [
        {"level": "warning", "message": "no MINNOW_API_KEYS, but {braces"},
        {**DRAWN[0], "version": "3"},
        {**DRAWN[-1], "shadow": "3"},
        {**DRAWN[-1], "version": "2", "shadow": "1"},
        {name: value for name, value in DRAWN[0].items() if name != "version"},
        {"message": "shadow", "model": "films", "version": "1", "shadow": "2", "problem": "failed"},
    ]
    log.write_bytes(log.read_bytes() + encode_lines(others))

    told = read_json(run, log)

    assert told.pop("lines") == {"read": 606, "skipped": 0}
    assert told == {name: value for name, value in wanted.items() if name != "lines"}


BROKEN = [
    b'{"message": "request", "model": "films\\u001b", "version": "1"}',
    b'{"message": "request", "model": "films", "version": "1", "texts": 1, "latency_ms": 1'
    + b"0" * 400
    + b"}",
    b'{"message": "request", "model": "films", "version": "1"',
    b'{"message": "request", "model": "films", "version": "1"}',
    b'{"message": "request", "model": "films", "version": "1", "texts": -1, "latency_ms": 1}',
    b'{"message": "request", "model": "films", "version": "1", "texts": 1, "latency_ms": "1"}',
    b'{"message": "request", "model": "films", "version": "1", "texts": 1, "latency_ms": NaN}',
    b'{"message": "request", "model": "films", "version": "1", "texts": 1, "latency_ms": 1, '
    b'"labels": ["a"]}',
    b'{"message": "request", "model": "films", "version": "1", "texts": 1, "latency_ms": 1, '
    b'"labels": {"a": 1}, "timestamp": "now"}',
    b'{"message": "shadow", "model": "films", "version": "1", "shadow": "2", "texts": 0}',
    b'{"message": "profile", "model": "films", "version": "1", "bins": {"a": []}, '
    b'"histograms": {"a": [1]}}',
    b'{"message": "profile", "model": "films", "version": "1", "bins": {}, "histograms": []}',
    b"{" * 5000,
    b'{"a": ' * 5000,
    b"\xff\xfe{\xff",
    b'{"message": {}, "model": "films", "version": ' + b"9" * 5000 + b"}",
]


def test_what_cannot_be_read_is_counted_told_and_changes_nothing(run, log):
    wanted = read_json(run, log)
    log.write_bytes(log.read_bytes() + b"\n".join(BROKEN) + b"\nno object at all\n")

    code, out, errors = run("compare", 1, 2, log, "--json")

    told = json.loads(out)
    assert (code, errors) == (
        0,
        f"{len(BROKEN)} of {600 + len(BROKEN)} lines could not be read, and were skipped\n",
    )
    assert told.pop("lines") == {"read": 600 + len(BROKEN), "skipped": len(BROKEN)}
    assert told == {name: value for name, value in wanted.items() if name != "lines"}


def make_repository(tmp_path, names=("films",)):
    place = tmp_path / "models"
    for name in names:
        (place / name).mkdir(parents=True)
        store = open_store(str(place))
        store.change_aliases(name, lambda content: write_alias(content, "live", 1))
    return place, store


def test_aliases_are_looked_up_and_the_canary_is_the_candidate(run, tmp_path, log):
    place, store = make_repository(tmp_path)

    for kind in ("shadow", "canary"):
        store.change_aliases(
            "films", lambda content, kind=kind: write_trials(content, "live", 2, {kind: 0.1})
        )
        code, out, _ = run("compare", "live", "candidate", log, "--models", place)
        assert (code, out.splitlines()[0]) == (0, "model films: version 2 beside version 1")
    store.change_aliases("films", lambda content: write_alias(content, "candidate", 2))
    assert run("compare", "live", "candidate", log, "--models", place)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("live", "candidate", "LOG"), "which repository? Name a folder or s3://BUCKET/PREFIX/"),
        (("live", "2", "LOG", "--models", "PLACE"), "which model of "),
        (("live", "nosuch", "LOG", "--models", "PLACE", "--model", "films"), "no alias nosuch"),
        (("live", "candidate", "LOG", "--models", "PLACE", "--model", "films"), "no alias cand"),
        (("live", "1", "LOG", "--models", "PLACE", "--model", "films"), "both version 1"),
        (("3", "3", "LOG"), "both version 3"),
        (("3", "4", "LOG"), "no line of the log tells of version 3 or 4, of 600 lines"),
        (("1", "2", "LOG", "--model", "songs"), "no line of the log tells of version 1 or 2"),
        (("1", "2", "nowhere.log"), "nowhere.log: No such file or directory"),
        (("1", "2", "CUT"), "is no whole .gz"),
        (("1", "2", "BOTH"), "several models; name one by --model: films, songs"),
    ],
)
def test_what_cannot_be_compared_is_one_line(run, tmp_path, log, arguments, message):
    place, _ = make_repository(tmp_path, ("films", "songs"))
    cut, both = tmp_path / "cut.gz", tmp_path / "both.log"
    cut.write_bytes(gzip.compress(log.read_bytes())[:-200])
    both.write_bytes(encode_lines([*DRAWN, {**DRAWN[0], "model": "songs"}]))
    named = {"LOG": log, "PLACE": place, "CUT": cut, "BOTH": both}

    code, out, errors = run("compare", *(named.get(one, one) for one in arguments))

    assert (code, out, errors.count("\n")) == (1, "", 1)
    assert message in errors
