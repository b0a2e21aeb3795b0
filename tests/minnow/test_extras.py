"""Without an extra, each command says in one line which to install."""

import re
import tomllib

import pytest

from minnow.extras import COMMANDS, EXTRAS
from tests.helpers.fresh_python import run_python
from tests.helpers.paths import ROOT

CASES = [
    ("train rows.csv --out run", "tensorflow", "training"),
    ("train rows.csv --out run", "sklearn", "training"),
    ("export run --out bundle", "tf2onnx", "cpu,training,export"),
    ("predict good", "onnxruntime", "cpu"),
    ("score handler/model rows.csv --out out.csv", "onnxruntime", "cpu"),
    ("score handler/model rows.csv --out out.csv --engine ray", "ray", "cpu,ray"),
    ("serve", "uvicorn", "cpu,handler"),
    ("serve", "onnxruntime", "cpu,handler"),
    ("inspect", "onnx", "cpu,export"),
    ("data imdb --out imdb", "requests", "training"),
    ("data glove", "requests", "training"),
]


@pytest.mark.parametrize(("command", "module", "extras"), CASES)
def test_a_missing_module_of_an_extra_is_one_line(command, module, extras):
    code = f"""
        import importlib.util, sys
        sys.modules["{module}"] = None
        find = importlib.util.find_spec
        importlib.util.find_spec = lambda name: None if name == "{module}" else find(name)
        from minnow.cli import main
        sys.exit(main(sys.argv[1:]))
    """

    done = run_python(code, *command.split())

    name = command.split()[0]
    lines = [line for line in done.stderr.splitlines() if "comes with Minnow" not in line]
    assert lines == [
        f"minnow: minnow {name} needs {module}, which is not installed: "
        f'pip install "minnow-maas[{extras}]"'
    ]
    assert done.returncode == 1


def test_every_module_stands_in_the_extra_that_is_named():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    brought = {"starlette": "fastapi", "pydantic": "fastapi", "botocore": "boto3"}
    packages = {"sklearn": "scikit-learn", "aws_lambda_powertools": "aws-lambda-powertools"}
    for module, extra in EXTRAS.items():
        if extra in extras:
            names = [re.split(r"[\[<>=;]", line)[0] for line in extras[extra]]
            assert packages.get(module, brought.get(module, module)).replace("_", "-") in names

    assert {name for listed in COMMANDS.values() for name in listed.split(",")} <= set(extras)
