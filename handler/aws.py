"""AWS clients: boto3 is imported when the first one is made, never on the road of another event."""

from __future__ import annotations

from typing import Any

from handler.errors import DeliveryError

# A client call is tried this often, with exponential backoff, on throttling, 5xx and lost
# connections. A tenth of all calls failing then loses one in 10^5, which the source retries.
ATTEMPTS = 5
READ_TIMEOUT_S = 10


class ReplyCutShort(DeliveryError):
    """A service's reply that broke off: what became of the request is not known."""


def make_client(
    service: str,
    attempts: int = ATTEMPTS,
    connect_s: float = 3,
    read_s: float = READ_TIMEOUT_S,
) -> Any:
    """Return a boto3 client; region, credentials and endpoint come from the environment."""
    import boto3
    from botocore.config import Config

    from handler.deadline import refuse_if_abandoned

    client = boto3.client(
        service,
        config=Config(
            retries={"mode": "standard", "total_max_attempts": attempts},
            connect_timeout=connect_s,
            read_timeout=read_s,
            max_pool_connections=16,
        ),
    )
    client.meta.events.register("before-send", refuse_if_abandoned)  # before each retry too
    client.meta.events.register("before-parse", refuse_cut_reply)
    return client


def refuse_cut_reply(operation_model: Any, response_dict: Any, **_: Any) -> None:
    """Raise ReplyCutShort for a reply that is shorter than its header says.

    botocore reads `{"Succ` as an empty reply: of a batch it would mean that nothing failed.
    """
    size, body = response_dict["headers"].get("content-length"), response_dict["body"]
    has_no_body = operation_model.http.get("method") == "HEAD" or (
        response_dict["status_code"] == 304  # whose header tells what the object has
    )
    if size is None or has_no_body:
        return
    if isinstance(body, bytes) and len(body) != int(size):
        raise ReplyCutShort(f"{len(body)} of {size} bytes of the reply came")


def error_code(error: Exception) -> str:
    """Return the service's code of a botocore ClientError, such as `NoSuchKey`."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", type(error).__name__))


def is_resource(arn: str, service: str, resource: str) -> bool:
    """Say whether an ARN, of any partition (aws, aws-cn, aws-us-gov, ...), names a resource.

    `arn:aws-cn:dynamodb:cn-north-1:1234:table/reviews/stream/2026` is `table/reviews`.
    """
    parts = arn.split(":", 5)
    if len(parts) < 6 or parts[0] != "arn" or parts[2] != service:
        return False
    return f"{parts[5]}/".startswith(f"{resource}/")
