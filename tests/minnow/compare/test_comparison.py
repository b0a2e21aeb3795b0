"""Whether a comparison of drawn lines finds what differs, and nothing else."""

import pytest

from minnow.compare.comparison import MIN_LINES, compare_versions
from minnow.compare.logs import Log
from minnow.compare.report import tell_verdict, write_report
from tests.helpers.drawn_logs import Drawn, draw_lines, encode_lines

NUM_DRAWS = 100
SHADOWED = Drawn(requests=(150, 120), pairs=400)


def read_drawn(lines):
    log = Log("1", "2")
    log.read(encode_lines(lines).decode().splitlines())
    assert log.num_broken == 0
    return log.evidence["films"]


def compare(drawn, seed):
    return compare_versions(read_drawn(draw_lines(drawn, seed)), "1", "2")


@pytest.mark.slow
@pytest.mark.parametrize("drawn", [Drawn(), SHADOWED], ids=["canary", "shadow"])
def test_versions_that_do_not_differ_are_told_apart_in_5_of_100_logs_at_most(drawn):
    alarms = [compare(drawn, seed).find_differing() for seed in range(NUM_DRAWS)]

    assert sum(bool(one) for one in alarms) <= 0.05 * NUM_DRAWS


@pytest.mark.parametrize(
    ("drawn", "question"),
    [
        (Drawn(requests=(1500, 700), positive=(0.4, 0.52)), "labels"),
        (Drawn(requests=(900, 500), slower=1.3), "latency"),
        (Drawn(requests=(1500, 700), failing=(0.002, 0.05)), "errors"),
        (Drawn(requests=(120, 0), pairs=1500, upward=0.85), "labels"),
        (Drawn(requests=(120, 0), pairs=400, shift=0.02), "scores"),
        (Drawn(requests=(120, 0), pairs=400, slower=1.1), "latency"),
        (Drawn(requests=(0, 0), pairs=400, shift=0.02, task="regression"), "scores"),
    ],
    ids=["labels", "latency", "errors", "pairs", "scores", "model alone", "numbers"],
)
def test_what_differs_is_found_and_nothing_else(drawn, question):
    found = [compare(drawn, seed).find_differing() for seed in range(5)]

    assert found == [[question]] * 5


def test_the_sign_of_a_difference_is_the_candidates():
    drawn = Drawn(requests=(1500, 700), positive=(0.4, 0.55), slower=1.3)
    found = {(one.question, one.name): one for one in compare(drawn, 1).findings}

    positive, latency = found["labels", "pos"], found["latency", "requests"]
    assert positive.live < positive.candidate
    assert 0.1 < positive.difference.value < 0.2
    assert positive.difference.value == pytest.approx(positive.candidate - positive.live)
    assert 1.2 < latency.difference.value < 1.4
    upward = compare(Drawn(requests=(0, 0), pairs=1500, upward=0.9), 1).findings
    assert [one.difference.value > 0 for one in upward if one.name in ("pos", "neg")].count(
        True
    ) == 1
    assert next(one for one in upward if one.name == "pos").difference.value > 0


def test_agreement_is_told_with_an_interval_that_knows_how_alike_texts_are():
    found = compare(Drawn(requests=(0, 0), pairs=1000, flipped=0.03), 1)

    value, low, high = found.agreement
    assert low < 0.97 < high
    texts = 1000 * 4.5
    independent = 2 * 1.96 * (0.03 * 0.97 / texts) ** 0.5
    assert 1.2 * independent < high - low < 3 * independent


def test_too_few_lines_say_how_many_are_missing():
    found = compare(Drawn(requests=(200, 30), pairs=40), 1)

    assert found.findings == []
    assert found.agreement is None
    assert found.too_few["latency"].endswith(
        f"wanted {MIN_LINES} of either: {MIN_LINES - 30} more of version 2"
    )
    assert f"wanted {MIN_LINES}: {MIN_LINES - 40} more requests" in found.too_few["scores"]
    assert tell_verdict(found) == "too few lines tell of labels, scores, latency and errors"


def test_where_no_difference_is_seen_it_is_told_how_many_lines_would_tell_closely():
    few, many = (
        compare(Drawn(requests=(0, 0), pairs=number, flipped=0.1), 3).findings
        for number in (150, 600)
    )

    missing = [next(one.more for one in found if one.name == "pos") for found in (few, many)]
    # The interval is half as wide with four times as many lines, whose number is the same in all.
    assert missing[0] + 150 == pytest.approx(missing[1] + 600, rel=0.4)


def make_profile(version, counts):
    line = {"message": "profile", "model": "films", "version": version, "texts": sum(counts)}
    bins = ["0", "to 0.5", "0.5 to 0.9", "over 0.9"]
    return line | {"bins": {"score": bins}, "histograms": {"score": counts}}


def test_histograms_of_the_monitor_are_compared_and_windows_added_up():
    same = [make_profile(version, [100, 200, 300, 400]) for version in "12" for _ in range(3)]
    other = [*same[:3], *(make_profile("2", [150, 200, 300, 350]) for _ in range(3))]

    assert compare_versions(read_drawn(same), "1", "2").find_differing() == []
    found = compare_versions(read_drawn(other), "1", "2")
    assert found.find_differing() == ["scores"]
    assert "scores" not in found.too_few


def name_bins(version, counts, name="label"):
    line = make_profile(version, list(counts.values()))
    return line | {"bins": {name: list(counts)}, "histograms": {name: list(counts.values())}}


@pytest.mark.parametrize(
    "lines",
    [
        [
            name_bins("1", {"a": 500, "b": 300, "(other)": 200, "(none)": 0}),
            name_bins("2", {"a": 500, "c": 180, "(other)": 320, "(none)": 0}),
        ],
        [
            name_bins("1", {"to 0.5": 500, "over 0.5": 500}, "score"),
            name_bins("2", {"to 0.7": 800, "over 0.7": 200}, "score"),
        ],
        [
            name_bins("1", {"to 0": 500, "over 0": 500}, "value"),
            name_bins("2", {"to 0": 800, "over 0": 200}, "value"),
        ],
    ],
    ids=["names", "edges", "own scale"],
)
def test_histograms_of_other_bins_are_no_difference(lines):
    assert compare_versions(read_drawn(lines), "1", "2").find_differing() == []


def test_names_that_both_have_a_bin_of_are_compared():
    lines = [
        name_bins("1", {"a": 500, "b": 300, "(other)": 200, "(none)": 0}),
        name_bins("2", {"a": 400, "c": 180, "(other)": 420, "(none)": 0}),
    ]

    assert compare_versions(read_drawn(lines), "1", "2").find_differing() == ["labels"]


def make_pair(texts, changed):
    numbers = {"agreed": texts - sum(sum(one.values()) for one in changed.values())}
    numbers |= {"score_difference": 0.0, "score_shift": 0.0, "changed": changed}
    latencies = {"latency_ms": 1.0, "shadow_latency_ms": 1.5}
    head = {"message": "shadow", "model": "films", "version": "1", "shadow": "2", "texts": texts}
    return head | {"task": "single-label"} | numbers | latencies


def test_one_large_request_is_no_change_of_a_label():
    other = [make_pair(1, {"a": {"b": 1}}), make_pair(1, {"b": {"a": 1}}), *[make_pair(1, {})] * 4]
    other *= 800
    once = read_drawn([*other, make_pair(100, {"x": {"y": 100}})])
    often = read_drawn(other + [make_pair(1, {"x": {"y": 1}})] * 100)

    found, many = (compare_versions(evidence, "1", "2") for evidence in (once, often))

    assert found.find_differing() == []
    assert sorted(one.name for one in many.findings if one.differs) == ["x", "y"]


def make_request(version, labels, texts=1):
    line = {"message": "request", "model": "films", "version": version, "method": "POST"}
    numbers = {"status": 200, "latency_ms": 1.0, "texts": texts}
    return line | numbers | ({"labels": labels} if labels else {})


def test_one_large_request_of_one_version_is_no_label_that_the_other_lost():
    lines = [make_request(version, {"a": 1}) for version in "12"] * 3000

    found = compare_versions(read_drawn([*lines, make_request("1", {"x": 60}, 60)]), "1", "2")
    many = compare_versions(read_drawn(lines + [make_request("1", {"x": 1})] * 60), "1", "2")

    assert (found.find_differing(), many.find_differing()) == ([], ["labels"])


def test_texts_without_a_label_count_among_all():
    lines = [make_request("1", {"a": 1}), make_request("1", {"b": 1})] * 200
    lines += [make_request("2", {"a": 1}), make_request("2", {"b": 1}), make_request("2", {})] * 130

    found = {one.name: one for one in compare_versions(read_drawn(lines), "1", "2").findings}

    assert (found["a"].live, found["a"].candidate) == (0.5, pytest.approx(1 / 3))
    assert found["a"].differs


def test_of_numbers_no_labels_are_asked_for():
    lines = [make_request(version, {}) for version in "12"] * 150

    found = compare_versions(read_drawn(lines), "1", "2")

    assert "labels" not in {*found.too_few, *(one.question for one in found.findings)}


def test_latencies_are_compared_where_both_ran_in_turns_alone():
    pairs = [make_pair(1, {})] * 200

    function = compare_versions(read_drawn(pairs), "1", "2")
    server = compare_versions(read_drawn([one | {"in_turns": True} for one in pairs]), "1", "2")

    assert (function.find_differing(), server.find_differing()) == ([], ["latency"])
    assert "latency" in function.too_few


def test_a_label_that_does_not_show_is_told_as_text():
    lines = [make_request(version, {"a\x1b[2J": 1}) for version in "12"] * 150
    evidence = read_drawn(lines)

    report = "".join(
        write_report("films", "1", "2", evidence, compare_versions(evidence, "1", "2"))
    )

    assert report.isprintable()
    assert "'a\\x1b[2J'" in report


def test_the_report_ends_with_the_verdict_and_warns_of_other_times():
    lines = draw_lines(Drawn(requests=(1500, 700), slower=1.4), 1)
    evidence = read_drawn(lines)
    report = list(write_report("films", "1", "2", evidence, compare_versions(evidence, "1", "2")))

    assert report[0] == "model films: version 2 beside version 1"
    assert report[-1].startswith(
        "verdict     they differ in latency; no difference was seen in labels"
    )
    assert not any("different times" in line for line in report)
    for line in lines:
        line["timestamp"] += 86_400 * int(line["version"]) + 1000 * line["latency_ms"]
    evidence = read_drawn(lines)
    report = list(write_report("films", "1", "2", evidence, compare_versions(evidence, "1", "2")))
    assert any("they answered at different times" in line for line in report)
