"""An actor of Ray that is killed in the middle of a job: no row is lost, none is doubled."""

import pytest

from tests.helpers.engines import RAY_SETTINGS
from tests.helpers.tables import read_parquet
from tests.helpers.wheel import run_installed

pytestmark = pytest.mark.engines

NUM_ROWS = 3000
# The process that has row 1,700 ends the first time as if it had been killed.
PROGRAM = """
import os, signal, sys
import minnow, ray

bundle, source, target, mark = sys.argv[1:]

class Dying(minnow.Scorer):
    def __call__(self, batch):
        if 1700 in batch["id"] and not os.path.exists(mark):
            open(mark, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(batch)

ray.init(num_cpus=4, include_dashboard=False, object_store_memory=200 << 20)
rows = ray.data.read_parquet(source)
options = dict(fn_constructor_args=[bundle], concurrency=2, batch_size=256)
rows.map_batches(Dying, **options).write_parquet(target)
"""


def test_a_killed_actor_loses_and_doubles_nothing(tiny_bundle, tmp_path, wheel_python):
    import pyarrow
    from pyarrow import parquet

    texts = ["good film", "bad"] * (NUM_ROWS // 2)
    table = pyarrow.table({"id": range(NUM_ROWS), "text": texts})
    (tmp_path / "in").mkdir()
    for number in range(3):
        parquet.write_table(table.slice(number * 1000, 1000), tmp_path / "in" / f"{number}.parquet")
    (tmp_path / "program.py").write_text(PROGRAM)
    mark, out = tmp_path / "mark", tmp_path / "out"

    run_installed(
        *(wheel_python, tmp_path / "program.py", tiny_bundle, tmp_path / "in", out, mark),
        cwd=tmp_path,
        **RAY_SETTINGS,
    )

    assert mark.exists()
    rows = [row for path in out.rglob("*.parquet") for row in read_parquet(path.read_bytes())]
    found = sorted((row["id"], row["text"], row["predicted_label"]) for row in rows)
    labels = {"good film": "pos", "bad": "neg"}
    assert found == [(number, text, labels[text]) for number, text in enumerate(texts)]
