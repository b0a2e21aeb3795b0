"""A cluster of Ray on this machine, which commands join."""

import secrets
import subprocess
import sys

import pytest

from tests.helpers.engines import RAY_SETTINGS
from tests.helpers.moto import aws, moto_url

__all__ = ["aws", "moto_url"]

# Ends when what started it closes its input, or ends.
CLUSTER = """
import sys
import ray
ray.init("local", num_cpus=2, include_dashboard=False, object_store_memory=100 << 20)
print("address", ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def ray_cluster(wheel_python, moto_url, tmp_path_factory):
    """Settings by which a command joins a cluster of two processors, whose nodes have the wheel
    and reach AWS on loopback; and the process that keeps the cluster."""
    from tests.helpers.aws import ENVIRONMENT

    settings = {
        **RAY_SETTINGS,
        **ENVIRONMENT,
        "AWS_ENDPOINT_URL": moto_url,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }
    folder = tmp_path_factory.mktemp("cluster")
    keeper = subprocess.Popen(
        [wheel_python, "-c", CLUSTER],
        cwd=folder,
        env=settings | {"PATH": "/usr/bin:/bin", "HOME": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
        text=True,
    )
    with keeper:
        lines = (line.split() for line in keeper.stdout)
        address = next(words[1] for words in lines if words[:1] == ["address"])
        yield settings | {"RAY_ADDRESS": address}, keeper.pid
        keeper.stdin.close()
