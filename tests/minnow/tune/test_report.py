from pathlib import Path

from minnow.commands.tune import write_next
from minnow.tune.report import Outcome, describe_choice, format_report
from minnow.tune.standing import Standing

DEFAULT = Standing({}, 0, 20_000, 1, 0.90, 0.005, 0.0, 0.0, 800_000, 0.1, 60.0)
NONE = Standing({"encoder": "none"}, 0, 20_000, 1, 0.88, 0.005, -0.02, 0.004, 300_000, 0.1, 9.0)
WHERE = "fitted to 20,000 rows, on 1 fold"
RESULT = {"value": 0.9, "without": [0.9] * 20, "rows": 60, "size_bytes": 300_000, "latency_ms": 0.1}


def describe(result):
    chosen = {"name": "default", "why": "It was the best."}
    return Outcome(
        [DEFAULT], "accuracy", (400_000, None), chosen, result, "minnow train", True, 9, 1
    )


def test_a_candidate_that_was_fitted_for_want_of_time_is_not_called_better():
    why = describe_choice(NONE, DEFAULT, expected=None, num_compared=1)

    assert why == (
        f"It was the best that could be fitted in the time ({WHERE}; beside the default "
        "-0.0200 ± 0.0040 on the same rows)."
    )


def test_what_of_a_gain_is_expected_to_stay_is_told():
    better = Standing({"encoder": "cnn"}, 0, 20_000, 1, 0.92, 0.005, 0.02, 0.004, 1, 0.1, 60.0)

    assert describe_choice(DEFAULT, DEFAULT, None, 20) == (
        f"Of 20 others none is better by more than luck explains ({WHERE})."
    )
    assert describe_choice(better, DEFAULT, 0.0192, 20) == (
        f"It was better than the default by 0.0200 ± 0.0040 on the same rows ({WHERE}); 0.0192 of "
        "it is expected to stay: the best of 20 is also lucky."
    )


def test_what_was_pruned_is_told_and_the_bundle_is_named():
    report = format_report(describe({**RESULT, "pruned": True}))

    assert "Its int8 bundle, pruned to keep the budget, has accuracy" in report
    assert "use the bundle in `bundle`" in report
    assert write_next(Path("tuned/a"), {"pruned": True}) == "minnow serve tuned/a/bundle"


def test_what_was_not_pruned_is_exported_from_its_run():
    assert "prune" not in format_report(describe(RESULT))
    assert write_next(Path("tuned/a"), RESULT) == "minnow export tuned/a/run --out bundles/a"
