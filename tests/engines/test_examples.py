"""The examples, on local clusters of the real engines, against the wheel: `make test-engines`."""

import json

import pytest

from tests.helpers.engines import RAY_SETTINGS
from tests.helpers.paths import ROOT
from tests.helpers.tables import read_parquet
from tests.helpers.wheel import run_installed

pytestmark = pytest.mark.engines

EXAMPLES = ROOT / "examples"
MAX_LINES = 15  # of code, with the imports
ANSWERS = {  # by hand: softmax of 2 for each good word, of -2 for each bad one
    "good film": ("pos", 0.880797),
    "bad": ("neg", 0.880797),
    "good good naïve": ("pos", 0.982014),
    "zebra": ("pos", 0.5),
    None: ("", None),
}
TEXTS = [*ANSWERS] * 300
# Ray reads, writes and scores in processes that it counts as CPUs: on two of them one of each is
# too many.
RAY = """
import runpy, sys
import ray
ray.init(num_cpus=4, include_dashboard=False, object_store_memory=200 << 20)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0])
"""


@pytest.fixture
def source(tmp_path):
    """A folder of three Parquet files."""
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table({"id": range(len(TEXTS)), "text": TEXTS})
    (tmp_path / "in").mkdir()
    for number in range(3):
        parquet.write_table(table.slice(number * 500, 500), tmp_path / "in" / f"{number}.parquet")
    return tmp_path / "in"


def run_example(python, name, *arguments, runner=()):
    """Run an example where the wheel is installed, and its engine on this machine alone."""
    run_installed(
        *(python, *runner, EXAMPLES / name, *arguments),
        cwd=arguments[-1].parent,
        PYSPARK_PYTHON=str(python),
        SPARK_LOCAL_IP="127.0.0.1",
        **RAY_SETTINGS,
    )


def read_rows(folder):
    rows = [row for path in folder.rglob("*.parquet") for row in read_parquet(path.read_bytes())]
    return sorted(rows, key=lambda row: row["id"])


def expect(number, text):
    """Return the row of a text as the engines give it."""
    label, score = ANSWERS[text]
    return {
        "id": number,
        "text": text,
        "predicted_label": label,
        "predicted_score": score and pytest.approx(score, abs=1e-6),
        "rejected": "" if text else "text is null, wanted a string",
        "model_version": "1",
    }


def unify(row):
    """Return a row whose missing number is None: some engines have NaN."""
    return {name: None if value != value else value for name, value in row.items()}


WANTED = [expect(number, text) for number, text in enumerate(TEXTS)]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_is_short(path):
    docstring, code = path.read_text().split('"""\n', 1)

    assert docstring.startswith('"""')
    assert len([line for line in code.splitlines() if line.strip()]) <= MAX_LINES


def test_ray_data_by_a_pool_of_actors(tiny_bundle, source, tmp_path, wheel_python):
    run_example(
        wheel_python, "ray_data.py", tiny_bundle, source, tmp_path / "out", runner=("-c", RAY)
    )

    assert [unify(row) for row in read_rows(tmp_path / "out")] == WANTED


def test_spark_by_map_in_pandas(tiny_bundle, source, tmp_path, wheel_python):
    run_example(wheel_python, "spark_pandas.py", tiny_bundle, source, tmp_path / "out")

    assert [unify(row) for row in read_rows(tmp_path / "out")] == WANTED


def test_spark_by_predict_batch_udf(tiny_bundle, source, tmp_path, wheel_python):
    run_example(wheel_python, "spark_udf.py", tiny_bundle, source, tmp_path / "out")

    names = ("predicted_label", "predicted_score", "rejected")
    found = [(row["id"], unify(row["answer"])) for row in read_rows(tmp_path / "out")]
    assert found == [(row["id"], {name: row[name] for name in names}) for row in WANTED]


def test_beam_by_run_inference(tiny_bundle, tmp_path, wheel_python):
    texts = [text for text in TEXTS if text]
    (tmp_path / "in.txt").write_text("".join(f"{text}\n" for text in texts), "utf-8")

    run_example(
        wheel_python, "beam_inference.py", tiny_bundle, tmp_path / "in.txt", tmp_path / "out"
    )

    lines = [line for path in tmp_path.glob("out*") for line in path.read_text().splitlines()]
    found = [(text, answer["label"], answer["score"]) for text, answer in map(json.loads, lines)]
    wanted = [(text, *ANSWERS[text]) for text in texts]
    assert [row[:2] for row in sorted(found)] == [row[:2] for row in sorted(wanted)]
    assert [row[2] for row in sorted(found)] == pytest.approx(
        [row[2] for row in sorted(wanted)], abs=1e-6
    )


def test_dask_by_map_partitions(tiny_bundle, source, tmp_path, wheel_python):
    run_example(wheel_python, "dask_frame.py", tiny_bundle, source, tmp_path / "out")

    assert [unify(row) for row in read_rows(tmp_path / "out")] == WANTED
