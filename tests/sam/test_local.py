"""`sam local` on the built artefact: invoke, start-api and start-lambda, in real containers."""

import contextlib
import json
import os
import subprocess
import urllib.request

import pytest

from tests.helpers.emulator import LAMBDA_PYTHON, ROOT, wait_for_port
from tests.helpers.http_events import make_event
from tests.helpers.ports import free_port

pytestmark = [pytest.mark.docker, pytest.mark.slow]

ENVIRONMENT = {
    **os.environ,
    "SAM_CLI_TELEMETRY": "0",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
}
VARIABLES = ROOT / "local.json"  # nothing here reaches AWS: results are returned, not sent


@pytest.fixture(scope="module")
def options(sam, docker_engine, built_folder):
    template = built_folder / "template.yaml"
    return ["--template", template, "--env-vars", VARIABLES, *docker_engine]


@contextlib.contextmanager
def started(command, port, log):
    """Run a `sam local` server until the block ends; SIGTERM, or its containers stay."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=ENVIRONMENT, stdout=output, stderr=output)
    try:
        wait_for_port(port, process, log)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def api(sam, options, tmp_path_factory):
    port = free_port()
    # Without the authorizer, which API Gateway would be; SAM emulates neither IAM nor JWT.
    command = [sam, "local", "start-api", *options, "--disable-authorizer", "--port", str(port)]
    command += ["--warm-containers", "EAGER"]
    with started(command, port, tmp_path_factory.mktemp("api") / "log") as running:
        yield f"http://127.0.0.1:{running}"


@pytest.fixture(scope="module")
def lambda_endpoint(sam, options, tmp_path_factory):
    port = free_port()
    command = [sam, "local", "start-lambda", *options, "--port", str(port)]
    command += ["--warm-containers", "EAGER"]
    with started(command, port, tmp_path_factory.mktemp("lambda") / "log") as running:
        yield f"http://127.0.0.1:{running}"


def test_sam_local_invoke_answers_a_direct_call(sam, options, tmp_path):
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"texts": ["good film", "bad film"]}))

    done = subprocess.run(
        [sam, "local", "invoke", "MinnowFunction", "--event", event, *options],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )

    predictions = json.loads(done.stdout.splitlines()[-1])["predictions"]
    assert [prediction["label"] for prediction in predictions] == ["pos", "neg"]
    assert "telemetry" not in done.stderr


def test_start_api_answers_a_stock_http_client(api):
    body = json.dumps({"text": "good film"}).encode()
    request = urllib.request.Request(
        f"{api}/predict", body, {"Content-Type": "application/json"}, method="POST"
    )

    with urllib.request.urlopen(request, timeout=60) as response:
        (prediction,) = json.load(response)["predictions"]

    assert (response.status, prediction["label"]) == (200, "pos")


def test_start_api_serves_the_openapi_document(api):
    with urllib.request.urlopen(f"{api}/openapi.json", timeout=60) as response:
        assert "/predict" in json.load(response)["paths"]


def test_start_lambda_answers_boto3(lambda_endpoint):
    event = make_event("http_v2", "POST", "/predict", {"text": "bad film"})

    reply = invoke_with_boto3(lambda_endpoint, event)

    (prediction,) = json.loads(reply["body"])["predictions"]
    assert (reply["statusCode"], prediction["label"]) == (200, "neg")


CLIENT = """
import boto3, json, sys
client = boto3.client("lambda", endpoint_url=sys.argv[1])
reply = client.invoke(FunctionName="MinnowFunction", Payload=sys.stdin.read())
sys.stdout.write(reply["Payload"].read().decode())
"""


def invoke_with_boto3(endpoint, event):
    """Return the reply that the SDK, in the environment of the Lambda runtime, gets."""
    done = subprocess.run(
        [LAMBDA_PYTHON, "-c", CLIENT, endpoint],
        input=json.dumps(event),
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)
