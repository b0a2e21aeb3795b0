"""Where the bytes and the milliseconds of a bundle are."""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# As in handler/inference/classifier.py: ONNX Runtime's wheels report to Microsoft unless told not
# to before the import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np  # noqa: E402
import onnx  # noqa: E402
import onnxruntime  # noqa: E402
from onnx import TensorProto, numpy_helper  # noqa: E402

from handler.inference.bundle import Bundle  # noqa: E402
from handler.inference.classifier import session_options  # noqa: E402
from handler.inference.letters import join_row  # noqa: E402
from handler.inference.padding import feed  # noqa: E402
from handler.inference.tasks import describe_briefly  # noqa: E402

WARM_UP_RUNS = 10
RUNS = 100
UNKNOWN_SHARE = 20  # one word in so many, where their letters are read
SHOWN = 20  # rows of a table for people


def inspect_bundle(bundle: Bundle) -> dict[str, Any]:
    """Return what `minnow inspect` prints, ready for JSON.

    Milliseconds are medians over runs of one text of `max_length` words, one thread, as ONNX
    Runtime's profiler gives them; profiling itself takes time, so that nodes add up to more than a
    run without it (`latency_ms`).
    """
    model = onnx.load_from_string(bundle.model)
    manifest = bundle.manifest
    tensors: list[dict[str, Any]] = [
        {
            "name": tensor.name,
            "type": TensorProto.DataType.Name(tensor.data_type),
            "shape": list(tensor.dims),
            "size_bytes": numpy_helper.to_array(tensor).nbytes,
            "read_by": sorted(_readers(model, tensor.name)),
        }
        for tensor in model.graph.initializer
    ]
    tensors.sort(key=lambda tensor: tensor["size_bytes"], reverse=True)
    weights = sum(tensor["size_bytes"] for tensor in tensors)
    nodes, latency_ms = profile(bundle)
    return {
        "name": manifest.name,
        "version": manifest.version,
        "bundle_sha256": bundle.sha256,
        "task": describe_briefly(manifest.task),
        "limits": {"max_length": manifest.max_length, "precision": manifest.precision},
        "size_bytes": {
            "model": len(bundle.model),
            "weights": weights,
            "graph": len(bundle.model) - weights,
            "tokenizer": bundle.size_bytes - len(bundle.model),
        },
        "latency_ms": latency_ms,
        "tensors": tensors,
        "nodes": nodes,
        "operators": dict(sorted(Counter(node.op_type for node in model.graph.node).items())),
        "opsets": {item.domain or "ai.onnx": item.version for item in model.opset_import},
        "metrics": dict(manifest.metrics),
        "provenance": dict(manifest.provenance),
    }


def profile(bundle: Bundle) -> tuple[list[dict[str, Any]], float]:
    """Return name, operator and median milliseconds of each node, slowest first, and of a run."""
    vocab_size = len(bundle.tokenizer.word_ids)
    # Any words will do: a model's time depends on their number only.
    ids = np.random.default_rng(0).integers(
        bundle.manifest.unknown_id + 1, vocab_size, bundle.manifest.max_length, np.int32
    )
    tokenizer = bundle.tokenizer
    unknown = ["unknown"] * (len(ids) // UNKNOWN_SHARE) if tokenizer.reads_letters else []
    rows = [join_row(ids.tolist(), unknown)]
    feeds = feed(rows, bundle.manifest.pad_id, tokenizer.reads_letters)
    durations: dict[str, list[float]] = defaultdict(list)
    operators: dict[str, str] = {}
    runs: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        options = session_options(threads=1)
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(
            bundle.model, options, providers=["CPUExecutionProvider"]
        )
        for _ in range(WARM_UP_RUNS + RUNS):
            session.run(None, feeds)
        events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith("_kernel_time"):
            name = event["name"].removesuffix("_kernel_time")
            durations[name].append(event["dur"] / 1000)
            operators[name] = event["args"]["op_name"]
        elif event["name"] == "model_run":
            runs.append(event["dur"] / 1000)
    nodes: list[dict[str, Any]] = [
        {
            "name": name,
            "operator": operators[name],
            "ms": round(statistics.median(times[WARM_UP_RUNS:]), 4),
        }
        for name, times in durations.items()
    ]
    nodes.sort(key=lambda node: node["ms"], reverse=True)
    return nodes, round(statistics.median(runs[WARM_UP_RUNS:]), 4)


def format_inspection(found: dict[str, Any]) -> str:
    """Return the inspection as a text for people; `--json` has all rows."""
    sizes = found["size_bytes"]
    total = sizes["model"] + sizes["tokenizer"]
    provenance = found["provenance"]
    lines = [
        f"{found['name']}, version {found['version']}: {_format_task(found['task'])}",
        f"reads {found['limits']['max_length']} tokens at most; {found['limits']['precision']}",
        f"manifest.json: sha256 {found['bundle_sha256']}",
        "",
        f"{'bytes':>10}  share",
        *(
            _row(sizes[part], total, name)
            for part, name in (
                ("weights", "weights"),
                ("graph", "graph around them"),
                ("tokenizer", "tokenizer"),
            )
        ),
        "",
        "largest tensors",
        *(
            _row(t["size_bytes"], total, f"{t['type']} {t['shape']} {t['name']} for {_list(t)}")
            for t in found["tensors"][:SHOWN]
        ),
        "",
        f"{'ms':>10}  share  (a run of {found['limits']['max_length']} tokens, profiled: "
        f"{found['latency_ms']} ms)",
    ]
    whole = sum(node["ms"] for node in found["nodes"]) or 1.0
    lines += [
        f"{node['ms']:>10.4f} {node['ms'] / whole:6.1%}  {node['operator']} {node['name']}"
        for node in found["nodes"][:SHOWN]
    ]
    lines += ["", "operators: " + ", ".join(f"{n} {op}" for op, n in found["operators"].items())]
    lines += ["opsets: " + ", ".join(f"{name} {n}" for name, n in found["opsets"].items())]
    lines += [
        f"{name}: {json.dumps(provenance[name], ensure_ascii=False)}"
        for name in ("command", "recipe", "data", "compression", "early_exit")
        if provenance.get(name)
    ]
    return "\n".join(lines)


def _format_task(task: Mapping[str, Any]) -> str:
    """Return "single-label, labels neg, pos" for {"kind": "single-label", "labels": [...]}."""
    fields = (f", {name} {_show_field(value)}" for name, value in task.items() if name != "kind")
    return f"{task['kind']}{''.join(fields)}"


def _show_field(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name} {_show_field(inner)}" for name, inner in value.items())
    if isinstance(value, list) and len(value) > 1 and all(isinstance(one, list) for one in value):
        return f"{_show_field(value[0][0])} to {_show_field(value[-1][0])}"  # a table
    if isinstance(value, list):
        return ", ".join(map(_show_field, value)) or "none"
    is_long = isinstance(value, float) and len(str(value)) > 8
    return f"{value:.6g}" if is_long else str(value)


def _readers(model: onnx.ModelProto, name: str) -> set[str]:
    return {node.op_type for node in model.graph.node if name in node.input}


def _list(tensor: dict[str, Any]) -> str:
    return ", ".join(tensor["read_by"])


def _row(size: int, total: int, text: str) -> str:
    return f"{size:>10,} {size / total:6.1%}  {text}"
