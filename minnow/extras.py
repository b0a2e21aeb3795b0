"""The extras that each command needs, and what to say where one is not installed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

# Module -> the extra of pyproject.toml that brings it.
EXTRAS = {
    "onnxruntime": "cpu",
    "tensorflow": "training",
    "keras": "training",
    "matplotlib": "training",
    "requests": "training",
    "tqdm": "training",
    "sklearn": "training",
    "scipy": "training",
    "tf2onnx": "export",
    "onnx": "export",
    "fastapi": "handler",
    "mangum": "handler",
    "starlette": "handler",
    "pydantic": "handler",
    "uvicorn": "handler",
    "boto3": "events",
    "botocore": "events",
    "aws_lambda_powertools": "events",
    "pyarrow": "events",
    "zstandard": "events",
    "python_calamine": "xlsx",
    "cryptography": "signing",
    "ray": "ray",
}
# Command -> every extra that it can need, so that one installation is enough.
COMMANDS = {
    "train": "training",
    "tune": "cpu,training,export",
    "evaluate": "cpu,training",
    "export": "cpu,training,export",
    "inspect": "cpu,export",
    "sign": "cpu,signing",
    "predict": "cpu",
    "score": "cpu",
    "serve": "cpu,handler",
    "poll": "cpu,events",
    "invoke": "cpu,handler",
    "push": "cpu,events",
    "promote": "cpu,events",
    "models": "cpu,events",
    "label": "training",
    "lint": "training",
    "suggest": "cpu,training",
    "data": "training",
}


def require(*modules: str) -> None:
    """Raise ModuleNotFoundError for the first that is not installed, before any work."""
    for name in modules:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def describe_missing(error: ModuleNotFoundError, arguments: Sequence[str]) -> str:
    """Return one line for a module of an extra; "" for any other, which is a fault of ours.

    Args:
        arguments: Of the command line, the command first.
    """
    module = (error.name or "").split(".")[0]
    if module not in EXTRAS:
        return ""
    command = next((argument for argument in arguments if argument in COMMANDS), "")
    extras = COMMANDS.get(command, "").split(",")
    extras += [EXTRAS[module]] if EXTRAS[module] not in extras else []
    listed = ",".join(filter(None, extras))
    return (
        f"minnow {command} needs {module}, which is not installed: "
        f'pip install "minnow-maas[{listed}]"'
    )
