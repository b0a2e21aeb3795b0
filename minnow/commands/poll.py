"""`minnow poll`: a queue's messages to the Lambda function, without Lambda."""

from __future__ import annotations

import os
from typing import Annotated

from minnow.options import BundleOption, flag, option

PANEL = "Serving"
EXAMPLES = (
    "minnow poll --queue https://sqs.eu-west-1.amazonaws.com/123456789012/reviews",
    "minnow poll --queue URL --bundle bundles/reviews --until-empty",
)

Queue = Annotated[str, option("--queue", "URL", "Address of the SQS queue.")]
BatchSize = Annotated[
    int, option("--batch-size", "N", "Most messages in an invocation.", min=1, max=10_000)
]
BatchWindow = Annotated[
    float, option("--batch-window-s", "SECONDS", "Longest wait to fill a batch.", min=0, max=300)
]
VisibilityTimeout = Annotated[
    int | None,
    option(
        "--visibility-timeout-s",
        "SECONDS",
        "How long received messages are hidden from others; prolonged while they are at work.",
        "as the queue says",
        min=1,
        max=43_200,
    ),
]
Timeout = Annotated[
    float, option("--timeout-s", "SECONDS", "Time that one invocation has.", min=1, max=43_200)
]
UntilEmpty = Annotated[bool, flag("--until-empty", "End when no message is left.")]


def poll(
    queue: Queue,
    bundle: BundleOption = None,
    batch_size: BatchSize = 10,
    batch_window_s: BatchWindow = 0,
    visibility_timeout_s: VisibilityTimeout = None,
    timeout_s: Timeout = 900,
    until_empty: UntilEmpty = False,
) -> None:
    """Run the Lambda function on the messages of a queue.

    Messages are received, handled and deleted as Lambda's own connection to the queue does it.
    """
    if bundle is not None:
        os.environ |= {"MINNOW_BUNDLE": str(bundle), "MINNOW_MODELS": ""}
    from handler.hosts.poll import PollSettings, poll_queue, stop_on_signals

    settings = PollSettings(
        queue, batch_size, batch_window_s, visibility_timeout_s, timeout_s, until_empty
    )
    from handler.function import MONITOR, handler  # which reads the environment and the bundle

    done = poll_queue(handler, settings, stop_on_signals())
    MONITOR.finish()
    print(f"{done.deleted} messages done, {done.failed} failures left to the queue")
