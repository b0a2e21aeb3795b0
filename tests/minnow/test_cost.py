import json

import pytest

from minnow.cli import main
from minnow.cost import Measurement, Prices, estimate_cost, parse_measurement, read_benchmark

PRICES = Prices(
    gb_second=0.00001,
    million_invocations=0.2,
    million_http=1.0,
    gb_logs=0.5,
    snapshot_gb_second=0.000001,
    restored_gb=0.0001,
)


def test_a_million_requests_of_one_gb_and_ten_ms_are_ten_thousand_gb_seconds():
    cost = estimate_cost(Measurement(1024, 9.2, 200), PRICES, cold_share=0, log_bytes=1000)

    assert cost.compute == pytest.approx(10_000 * 0.00001)
    assert cost.logs == pytest.approx(0.5)
    assert cost.total == pytest.approx(0.1 + 0.2 + 1.0 + 0.5)


def test_cold_requests_are_billed_with_their_start():
    cost = estimate_cost(Measurement(2048, 10, 210), PRICES, cold_share=0.1)

    assert cost.compute == pytest.approx(0.00001 * 2 * 1000 * (0.9 * 10 + 0.1 * 210))


def test_snapshots_are_billed_by_restore_and_by_month_and_not_by_the_start():
    cost = estimate_cost(Measurement(2048, 10, 210), PRICES, cold_share=0.1, snapstart=True)

    assert cost.compute == pytest.approx(0.00001 * 2 * 1000 * (0.9 * 10 + 0.1 * 20))
    assert cost.restores == pytest.approx(100_000 * 2 * 0.0001)
    assert cost.snapshot_month == pytest.approx(2 * 0.000001 * 2_592_000)
    assert cost.total == pytest.approx(
        cost.compute + cost.restores + cost.invocations + cost.http + cost.logs
    )


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_share_outside_zero_to_one_is_refused(share):
    with pytest.raises(ValueError, match="wanted a number from 0 to 1"):
        estimate_cost(Measurement(1024, 1, 1), PRICES, cold_share=share)


@pytest.mark.parametrize("text", ["", "1769", "1769:3", "1769:x:190", "1769:0:190", "1:nan:1"])
def test_measurement_of_the_wrong_form_is_refused(text):
    with pytest.raises(ValueError, match="wanted MEMORY_MB:WARM_MS:COLD_MS"):
        parse_measurement(text)


def test_benchmark_is_read_by_its_medians(tmp_path):
    path = tmp_path / "cold_start.json"
    rows = [
        {"contestant": who, "event": "predict", "memory_mb": 512, "warm_ms": w, "first_ms": f}
        for who, w, f in [("minnow", 1, 10), ("minnow", 3, 30), ("minnow", 2, 50), ("eager", 9, 99)]
    ]
    path.write_text(json.dumps(rows))

    assert read_benchmark(path) == [Measurement(512, 2, 30)]


ROW = {"contestant": "minnow", "event": "predict", "memory_mb": 512, "warm_ms": 3}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "Expecting value"),
        ("{}", "not a list of objects"),
        ("[1]", "not a list of objects"),
        ("[]", "no row is of minnow's predictions"),
        (json.dumps([ROW]), "row 1 lacks memory_mb, warm_ms or first_ms, each a number above 0"),
        (json.dumps([ROW | {"first_ms": 0}]), "row 1 lacks memory_mb, warm_ms or first_ms"),
        (json.dumps([ROW | {"first_ms": "x"}]), "row 1 lacks memory_mb, warm_ms or first_ms"),
    ],
)
def test_broken_benchmark_is_one_line(content, message, tmp_path, capsys):
    path = tmp_path / "cold_start.json"
    path.write_text(content)

    assert main(["cost", "--benchmark", str(path)]) == 1

    error = capsys.readouterr().err
    assert error.startswith(f"minnow: {path}: {message}")
    assert error.endswith("; wanted the JSON file of `make bench-cold`\n")
    assert error.count("\n") == 1


def test_missing_benchmark_is_one_line(tmp_path, capsys):
    path = tmp_path / "nowhere.json"

    assert main(["cost", "--benchmark", str(path)]) == 1

    assert capsys.readouterr().err == f"minnow: {path}: No such file or directory\n"


@pytest.mark.parametrize(
    "arguments", [[], ["--measured", "512:5:400", "--benchmark", "cold_start.json"]]
)
def test_measurements_come_from_one_place(arguments, capsys):
    assert main(["cost", *arguments]) == 2

    assert "--measured or --benchmark: wanted one of the two" in capsys.readouterr().err


def test_command_prints_one_object_a_memory_size(capsys):
    assert main(["cost", "--measured", "512:5:400", "--measured", "1769:3:190", "--json"]) == 0

    costs = json.loads(capsys.readouterr().out)
    assert [cost["memory_mb"] for cost in costs["costs"]] == [512, 1769]
    assert costs["prices"]["million_http"] == 1.0


def test_every_price_is_an_option(capsys):
    options = [f"--{name.replace('_', '-')}=0" for name in vars(PRICES)]

    assert main(["cost", "--measured", "512:5:400", "--snapstart", "--json", *options]) == 0

    (cost,) = json.loads(capsys.readouterr().out)["costs"]
    assert (cost["total"], cost["snapshot_month"]) == (0, 0)


def test_command_names_what_is_wrong_in_one_line(capsys):
    assert main(["cost", "--measured", "1769:0:190"]) == 2

    assert "wanted MEMORY_MB:WARM_MS:COLD_MS" in capsys.readouterr().err


def test_command_refuses_a_share_over_one(capsys):
    assert main(["cost", "--measured", "512:5:400", "--cold-share", "5"]) == 2

    assert "'5' is no share" in capsys.readouterr().err
