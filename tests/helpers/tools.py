"""Programs that tests need and that no lock file brings."""

import os
from typing import NoReturn

import pytest


def skip_or_fail(reason: str) -> NoReturn:
    """Skip the test for want of a program; under CI, which installs all of them, fail."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
