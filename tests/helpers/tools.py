"""Programs that tests need and that no lock file brings."""

import os
import subprocess
from typing import NoReturn

import pytest


def skip_or_fail(reason: str) -> NoReturn:
    """Skip the test for want of a program; under CI, which installs all of them, fail."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def hide_processors() -> list[str]:
    """Return the command that runs another one where Linux says nothing of its processors.

    A mount namespace of its own, in which /sys/devices/system is empty.
    """
    script = 'mount -t tmpfs none /sys/devices/system && exec "$@"'
    command = ["unshare", "--mount"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
    command += ["sh", "-c", script, "sh"]
    try:
        checked = [*command, "test", "!", "-e", "/sys/devices/system/cpu"]
        subprocess.run(checked, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or error
        skip_or_fail(f"no mount namespace, which root may make where nothing forbids it: {reason}")
    return command
