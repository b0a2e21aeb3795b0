"""What is installed where: the command line's packages, and none of them in the function."""

import re
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

COMMAND_LINE = {"typer", "shellingham", "rich", "markdown-it-py", "mdurl", "pygments"}
LOCKS = ("requirements/dev.txt", "requirements/handler-test.txt", "handler/requirements.txt")


def read_packages(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9.-]+)==", (ROOT / lock).read_text(), flags=re.MULTILINE))


def test_the_function_lacks_what_only_the_command_line_needs():
    assert read_packages("handler/requirements.txt") & COMMAND_LINE == set()
    assert read_packages("requirements/handler-test.txt") >= COMMAND_LINE


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_registry(lock):
    text = (ROOT / lock).read_text()

    assert "://" not in text
    assert "index-url " not in text.replace("--no-emit-index-url ", "")


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_is_marked_as_generated(lock):
    patterns = re.findall(
        r"^(\S+) linguist-generated$", (ROOT / ".gitattributes").read_text(), re.M
    )

    assert any(Path(lock).match(pattern) for pattern in patterns)
