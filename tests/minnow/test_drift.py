"""`minnow drift`: logs of several processes, in several forms, and what is said of them."""

import gzip
import json
import os
import re
import shutil

import pytest

from handler.inference.bundle import read_bundle
from minnow.cli import main
from minnow.drift.charts import LEFT
from tests.helpers.profiles import write_profiled_bundle

HOUR = 3600.0
BEGIN = 1_795_000_000.0  # 2026-11-18 11:06:40
USUAL = {"label": [50, 50, 0, 0], "script": "latin"}
DRIFTED = {"label": [95, 5, 0, 0], "script": "cyrillic"}


@pytest.fixture(scope="module")
def bundle(tiny_bundle, tmp_path_factory):
    return write_profiled_bundle(tiny_bundle, tmp_path_factory.mktemp("bundles") / "tiny")


def make_line(folder, hour, label, script, **fields):
    """Return a line about a hundred texts of an hour."""
    loaded = read_bundle(folder)
    profile, texts = loaded.manifest.profile, sum(label)
    counts = {
        name: [round(texts * count / profile.rows) for count in profile.counts[name]]
        for name in profile.bins
    }
    counts["label"] = label
    names = profile.bins["script"].names
    counts["script"] = [texts * (name == script) for name in (*names, "", "")]
    return {
        "timestamp": BEGIN + (hour + 1) * HOUR,
        "level": "info",
        "message": "profile",
        "model": "tiny",
        "version": "1",
        "bundle": loaded.sha256[:12],
        "since": BEGIN + hour * HOUR,
        "until": BEGIN + (hour + 1) * HOUR,
        "texts": texts,
        "histograms": counts,
    } | fields


def dump(line):
    return json.dumps(line, separators=(",", ":"))


def write_log(path, lines):
    path.write_text("".join(f"{dump(line)}\n" for line in lines))
    return path


@pytest.fixture
def run(capsys):
    def run(*arguments):
        code = main(["drift", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def drifting(bundle, tmp_path):
    """The logs of two processes, whose texts drift from the seventh hour on."""
    lines = [make_line(bundle, hour, **(DRIFTED if hour >= 7 else USUAL)) for hour in range(10)]
    return [write_log(tmp_path / name, lines) for name in ("one.log", "two.log")]


def test_it_says_since_when_and_in_what(run, bundle, drifting):
    code, out, _ = run(*drifting, "--bundle", bundle, "--window-texts", 200)

    assert code == 0
    first, since, *features = out.splitlines()
    assert first == "tiny 1\t2,000 texts\tdrifting since 2026-11-18 18:06"
    assert since == "  Since 2026-11-18 18:06, in 600 texts:"
    assert [feature.split(" (index")[0].strip() for feature in features] == ["Script", "Answers"]
    assert "cyrillic: 100 % of texts, 0 % expected" in features[0]
    assert "pos: 95 % of texts, 50 % expected" in features[1]


def test_it_says_the_same_to_programs(run, bundle, drifting):
    code, out, _ = run(*drifting, "--bundle", bundle, "--window-texts", 200, "--json")

    (model,) = json.loads(out)["models"]
    assert code == 0
    assert (model["model"], model["version"], model["texts"]) == ("tiny", "1", 2000)
    assert model["is_drifting"]
    (period,) = model["periods"]
    assert (period["since"], period["until"]) == (BEGIN + 7 * HOUR, BEGIN + 10 * HOUR)
    assert (period["texts"], period["is_over"]) == (600, False)
    assert period["features"] == ["script", "label"]
    assert {"feature": "label", "bin": "pos", "expected": 0.5, "found": 0.95} in period["changes"]
    assert [bool(window["features"]) for window in model["windows"]] == [False] * 7 + [True] * 3


def test_drift_that_has_ended_is_told_with_its_end(run, bundle, tmp_path):
    lines = [make_line(bundle, hour, **(DRIFTED if 2 <= hour < 4 else USUAL)) for hour in range(6)]
    log = write_log(tmp_path / "log", lines)

    _, out, _ = run(log, "--bundle", bundle, "--window-texts", 100)

    assert out.splitlines()[0].endswith("no drift now")
    assert "From 2026-11-18 13:06 to 2026-11-18 15:06, in 200 texts:" in out


@pytest.mark.parametrize(("texts", "state"), [(10, "too few texts to tell"), (100, "no drift")])
def test_it_says_where_there_is_none(run, bundle, tmp_path, texts, state):
    log = write_log(
        tmp_path / "log", [make_line(bundle, 0, [texts // 2, texts // 2, 0, 0], "latin")]
    )

    _, out, _ = run(log, "--bundle", bundle)

    assert out == f"tiny 1\t{texts} texts\t{state}\n"


def test_logs_are_read_as_services_write_them(run, bundle, tmp_path, monkeypatch):
    lines = [make_line(bundle, hour, **USUAL) for hour in range(5)]
    other = dump({"level": "info", "message": "request", "labels": {"pos": 1}})
    plain = tmp_path / "plain.log"
    plain.write_text(f"started\n{other}\n{dump(lines[0])}\n")
    packed = tmp_path / "packed.log.gz"
    packed.write_bytes(gzip.compress(f"2026-11-18T12:00:00Z {dump(lines[1])}\r\n".encode()))
    tailed = tmp_path / "tailed.log"
    tailed.write_text(f"2026-11-18T12:00:00 2026/11/18/[1]abc {{x}} {dump(lines[2])} behind\n")
    quoted = tmp_path / "filtered.json"
    quoted.write_text(json.dumps({"events": [{"message": dump(lines[3]) + "\n"}]}, indent=4))
    stdin = tmp_path / "stdin"
    stdin.write_text(dump(lines[4]))

    with stdin.open() as file:
        monkeypatch.setattr("sys.stdin", file)
        _, out, err = run(plain, packed, tailed, quoted, "-", "--bundle", bundle, "--json")

    (model,) = json.loads(out)["models"]
    assert (model["texts"], err) == (500, "")


@pytest.mark.parametrize(
    "fields",
    [
        {"texts": 7},
        {"histograms": {"label": [50, "50"]}},
        {"histograms": {"label": [150, -50, 0, 0]}},
        {"histograms": None},
        {"since": "today"},
        {"until": 0},
        {"until": float("inf")},
        {"texts": float("inf")},
        {"since": float("nan")},
        {"model": "tiny\x1b[2J"},
        {"version": 1},
    ],
    ids=[
        *("sum", "no number", "below 0", "null", "no time", "end before begin"),
        *(
            "no end",
            "no number of texts",
            "no begin",
            "a name that does not show",
            "a version that is none",
        ),
    ],
)
def test_a_line_that_is_damaged_is_passed_over_and_told(run, bundle, tmp_path, fields):
    lines = [make_line(bundle, 0, **USUAL), make_line(bundle, 1, **USUAL) | fields]
    log = write_log(tmp_path / "log", lines)

    code, out, err = run(log, "--bundle", bundle)

    assert (code, err) == (0, "1 lines could not be read\n")
    assert out.startswith("tiny 1\t100 texts")


def test_a_line_that_is_nested_too_deep_is_passed_over_and_told(run, bundle, tmp_path):
    log = write_log(tmp_path / "log", [make_line(bundle, 0, **USUAL)])
    with log.open("a") as file:
        file.write('{"a":' * 100_000 + '{"message":"profile"}' + "}" * 100_000 + "\n")

    code, out, err = run(log, "--bundle", bundle)

    assert (code, err) == (0, "1 lines could not be read\n")
    assert out.startswith("tiny 1\t100 texts")


def test_the_profiles_of_a_repository_are_found_by_name(run, bundle, tmp_path):
    assert main(["push", str(bundle), str(tmp_path / "models")]) == 0
    log = write_log(tmp_path / "log", [make_line(bundle, 0, **USUAL)])

    code, out, _ = run(log, "--models", tmp_path / "models")

    assert code == 0
    assert out.endswith("tiny 1\t100 texts\tno drift\n")


@pytest.mark.parametrize(
    "fields",
    [{"version": "²"}, {"version": "01"}, {"model": "../models/tiny"}],
    ids=["no number", "no version", "a path"],
)
def test_a_log_leads_nowhere_else_in_a_repository(run, bundle, tmp_path, fields):
    assert main(["push", str(bundle), str(tmp_path / "models")]) == 0
    log = write_log(tmp_path / "log", [make_line(bundle, 0, **USUAL, **fields)])

    code, _, err = run(log, "--models", tmp_path / "models")

    assert code == 1
    assert "none of the bundles given is that one: their hashes begin with nothing" in err


def test_models_of_one_log_are_told_apart_those_that_drift_first(run, bundle, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(bundle, other)
    document = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps(document | {"version": "2"}))
    lines = [
        make_line(bundle, 0, **USUAL),
        make_line(other, 0, **DRIFTED, version="2"),
        make_line(bundle, 0, **USUAL, model="unknown", bundle="0" * 12),
    ]
    log = write_log(tmp_path / "log", lines)

    _, out, _ = run(log, "--bundle", bundle, "--bundle", other)

    shown = [line.split("\t") for line in out.splitlines() if "\t" in line]
    assert [(name, state[:9]) for name, _, state in shown] == [
        ("tiny 2", "drifting "),
        ("tiny 1", "no drift"),
        ("unknown 1", "its bundl"),
    ]


def test_the_page_stands_alone(run, bundle, drifting, tmp_path):
    page = tmp_path / "drift.html"

    code, out, _ = run(*drifting, "--bundle", bundle, "--window-texts", 200, "--out", page)

    html = page.read_text()
    assert (code, out.splitlines()[-1]) == (0, str(page))
    assert not re.search(r"(?:src|href)=\"(?!data:)|url\(|@import|<script|https?:", html)
    assert "drifting since 2026-11-18 18:06" in html
    assert "prefers-color-scheme" in html or "light-dark(" in html
    assert html.count("<svg") == 7  # the time line, and one for each feature


def test_a_process_that_tells_seldom_stands_within_the_chart(run, bundle, tmp_path):
    quick = [make_line(bundle, hour, **USUAL) for hour in range(8, 12)]
    slow = make_line(bundle, 10.5, **USUAL) | {"since": BEGIN}
    page = tmp_path / "drift.html"

    log = write_log(tmp_path / "log", [*quick, slow])
    run(log, "--bundle", bundle, "--window-texts", 100, "--out", page)

    places = [float(place) for place in re.findall(r'cx="([-.0-9]+)"', page.read_text())]
    assert len(places) == 5
    assert min(places) >= LEFT


def test_names_of_models_and_labels_are_text_on_the_page(run, bundle, tmp_path):
    line = make_line(bundle, 0, **DRIFTED, model="<b>tiny</b>")
    log = write_log(tmp_path / "log", [line])

    run(log, "--bundle", bundle, "--out", tmp_path / "page.html")

    html = (tmp_path / "page.html").read_text()
    assert "<b>tiny" not in html
    assert "&lt;b&gt;tiny&lt;/b&gt;" in html


def test_a_page_that_stands_is_replaced_only_by_force(run, bundle, drifting, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("mine")

    code, _, err = run(*drifting, "--bundle", bundle, "--out", page)
    assert (code, page.read_text()) == (1, "mine")
    assert "exists already" in err
    code, _, _ = run(*drifting, "--bundle", bundle, "--out", page, "--force")
    assert code == 0
    assert page.read_text() != "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.log", "--bundle", "BUNDLE"], "nowhere.log: No such file"),
        (["empty.log", "--bundle", "BUNDLE"], "no line about what texts were like"),
        (["text.gz", "--bundle", "BUNDLE"], "text.gz: cannot be unpacked"),
        (["damaged.gz", "--bundle", "BUNDLE"], "damaged.gz: cannot be unpacked"),
        (["one.log", "--bundle", "TINY"], "none of the bundles given is that one"),
        (["one.log", "--bundle", "nowhere"], "nowhere/manifest.json: no such file"),
        (["one.log"], "which repository"),
    ],
    ids=["no log", "no line", "not packed", "damaged", "another bundle", "no bundle", "no place"],
)
def test_what_is_wrong_is_said_in_one_line(
    run, bundle, tiny_bundle, drifting, tmp_path, monkeypatch, arguments, message
):
    (tmp_path / "empty.log").write_text('{"message":"request"}\n')
    (tmp_path / "text.gz").write_text("text")
    (tmp_path / "damaged.gz").write_bytes(gzip.compress(b"text")[:10] + b"\xff" * 20)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MINNOW_MODELS", raising=False)
    named = {"BUNDLE": bundle, "TINY": tiny_bundle}

    code, out, err = run(*(named.get(argument, argument) for argument in arguments))

    assert (code, out) == (1, "")
    assert message in err
    assert err.count("\n") == 1


def test_a_bundle_without_a_profile_is_told(run, tiny_bundle, bundle, tmp_path):
    sha256 = read_bundle(tiny_bundle).sha256[:12]
    log = write_log(tmp_path / "log", [make_line(bundle, 0, **USUAL, bundle=sha256)])

    code, _, err = run(log, "--bundle", tiny_bundle)

    assert code == 1
    assert "the bundle has no profile to compare with: train and export the model again" in err


def write_page(path, hour, pos, neg, other=""):
    """Write what a server says at /metrics after `hour`, and when it was asked."""
    label = 'model="tiny",version="1",feature="label"'
    lines = [
        "# TYPE minnow_profile_texts_total counter",
        f'minnow_profile_texts_total{{{label},bin="pos"}} {pos}',
        f'minnow_profile_texts_total{{{label},bin="neg"}} {neg}',
    ]
    for feature, name in (
        *(("score", "0.8 to 0.9"), ("length", "0 to 1"), ("unknown", "0")),
        *(("truncated", "no"), ("script", "latin")),
    ):
        labels = f'model="tiny",version="1",feature="{feature}",bin="{name}"'
        lines.append(f"minnow_profile_texts_total{{{labels}}} {pos + neg}")
    path.write_text("\n".join([*lines, other, "minnow_tokens_total 7"]) + "\n")
    os.utime(path, (BEGIN + hour * HOUR,) * 2)
    return path


def test_pages_of_metrics_are_read_by_what_came_between_them(run, bundle, tmp_path):
    pages = [
        write_page(tmp_path / "1", 1, 100, 100),
        write_page(tmp_path / "2", 2, 200, 200),
        write_page(tmp_path / "3", 3, 20, 180),  # the server has begun anew
        write_page(tmp_path / "4", 4, 20, 380),
    ]

    _, out, _ = run(*reversed(pages), "--bundle", bundle, "--window-texts", 100, "--json")

    (model,) = json.loads(out)["models"]
    assert [window["texts"] for window in model["windows"]] == [200] * 4
    assert ["label" in window["features"] for window in model["windows"]] == [
        *(False, False, True, True)
    ]
    ends = [window["until"] for window in model["windows"]]
    assert ends == [BEGIN + hour * HOUR for hour in (1, 2, 3, 4)]


def test_a_line_of_metrics_that_is_damaged_is_passed_over(run, bundle, tmp_path):
    page = write_page(tmp_path / "page", 1, 50, 50, other='minnow_profile_texts_total{model="t} 1')

    code, out, err = run(page, "--bundle", bundle)

    assert (code, err) == (0, "1 lines could not be read\n")
    assert out.startswith("tiny 1\t100 texts")
