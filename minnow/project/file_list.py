"""The files of a project beside its function, and where each of them stands.

`files/` holds those that only a project has. The others are the checkout's own, of which the wheel
has a copy in `files/`. Standard library only: the build of the wheel has nothing else.
"""

from __future__ import annotations

import shutil
from pathlib import Path

FILES = Path(__file__).with_name("files")
CHECKOUT = Path(__file__).parents[2]
OWN = (
    "README.md",
    "gitignore",
    "pytest.ini",
    "events/http_predict.json",
    "tests/test_function.py",
)
EVENTS = (
    "direct_text",
    "direct_texts",
    "eventbridge_text",
    "sns_text",
    "sqs_two_messages",
    "stepfunctions_list",
)
# Path in the project -> path in the checkout.
SHARED = {
    "template.yaml": "template.yaml",
    "durable.yaml": "durable.yaml",
    "samconfig.toml": "samconfig.toml",
    "local.json": "local.json",
    **{f"events/{name}.json": f"tests/events/{name}.json" for name in EVENTS},
}


def find_files() -> dict[str, Path]:
    """Return where each file of a project is read, by its path there."""
    found = {name: FILES / name for name in OWN}
    for name, source in SHARED.items():
        installed = FILES / name
        found[name] = installed if installed.is_file() else CHECKOUT / source
    return found


def copy_shared(checkout: Path, out: Path) -> None:
    """Copy the checkout's own files of a project below `out`."""
    for name, source in SHARED.items():
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(checkout / source, target)
