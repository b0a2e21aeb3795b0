"""What compression costs and brings: bundles beside their run, on the same rows and in turns.

Run: python -m benchmarks.compression RUN BUNDLE [BUNDLE ...] --data DATA
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("bundles", type=Path, nargs="+", metavar="BUNDLE")
    parser.add_argument("--data", type=Path, required=True, help="rows for accuracy and latency")
    parser.add_argument("--json", action="store_true", help="print one object")
    options = parser.parse_args()

    from export.compress.points import measure_latency
    from export.export import ExportSettings, export_run
    from handler.inference.classifier import load_classifier
    from training.rows.columns import Columns
    from training.rows.readers import read_dataset
    from training.run_folder import read_run
    from training.tasks import make_objective
    from training.train import load_predictor

    run = read_run(options.run)
    objective = make_objective(run.task)
    columns = run.metadata["columns"]
    dataset = read_dataset(options.data, Columns(columns["text"], columns["label"]))
    with tempfile.TemporaryDirectory() as folder:
        unpruned = Path(folder) / "float32"
        export_run(options.run, unpruned, ExportSettings("float32"))
        classifiers = [load_classifier(path) for path in (unpruned, *options.bundles)]
    names = ["unpruned float32", *map(str, options.bundles)]
    latencies = measure_latency(classifiers, dataset.texts)

    keras_outputs = load_predictor(run)(dataset.texts)
    keras_accuracy = objective.evaluate(dataset.labels, keras_outputs)["accuracy"]
    rows: list[dict[str, Any]] = []
    for name, classifier, (latency_ms, cpu_ms) in zip(names, classifiers, latencies, strict=True):
        outputs = classifier.predict_outputs(dataset.texts)
        accuracy = objective.evaluate(dataset.labels, outputs)["accuracy"]
        rows.append(
            {
                "name": name,
                "size_bytes": classifier.size_bytes,
                "accuracy": accuracy,
                "drop": 100 * (keras_accuracy - accuracy),
                "latency_ms": latency_ms,
                "cpu_ms": cpu_ms,
                "times_faster": latencies[0][0] / latency_ms,
                "times_faster_cpu": latencies[0][1] / cpu_ms,
            }
        )
    if options.json:
        print(json.dumps({"keras_accuracy": keras_accuracy, "rows": rows}))
        return
    print(f"Keras: accuracy {keras_accuracy:.4f} on {len(dataset)} rows\n")
    print(f"{'':28}{'MB':>8}{'accuracy':>10}{'drop':>7}{'p50 ms':>8}{'faster':>8}{'by CPU':>8}")
    for row in rows:
        print(
            f"{row['name'][-28:]:28}{row['size_bytes'] / 1e6:8.3f}{row['accuracy']:10.4f}"
            f"{row['drop']:7.2f}{row['latency_ms']:8.3f}{row['times_faster']:8.1f}"
            f"{row['times_faster_cpu']:8.1f}"
        )


if __name__ == "__main__":
    sys.exit(main())
