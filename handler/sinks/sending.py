"""What the sinks share: cutting results into requests, and trying the failed ones again."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from functools import partial

from handler.aws import ATTEMPTS, error_code
from handler.deadline import Deadline
from handler.sinks.sink import Result, cut

Sender = Callable[[Sequence[Result]], dict[str, str]]
FIRST_PAUSE_S = 0.05
THREADS = 8  # single puts wait on the network, not on the CPU
# The older limit of one SQS or EventBridge request; both take 1 MiB since 2025 and 2026, but not
# in every region and emulator.
REQUEST_BYTES = 262_144
TRACE_BYTES = 256  # names, types and values of what carries a trace


def encode(result: Result) -> str:
    """Return the document as JSON, ASCII only."""
    return json.dumps(result.document, separators=(",", ":"))


def measure(result: Result) -> int:
    """Return the bytes of the document, and of attributes beside it."""
    return len(encode(result)) + (TRACE_BYTES if result.traceparent else 0)


def send_batches(
    results: Sequence[Result],
    sender: Sender,
    deadline: Deadline,
    max_entries: int,
    max_bytes: int = REQUEST_BYTES,
    pause: Callable[[float], None] = time.sleep,
) -> dict[str, str]:
    """Send in as few requests as the limits allow; return what failed, id -> reason.

    Args:
        sender: Sends one request; returns what failed in it for a reason that may pass.
        deadline: What has not been sent by then has failed.
        max_entries: Entries of one request.
        max_bytes: Bytes of one request; a result above it fails at once.
        pause: Waits some seconds.
    """
    failures: dict[str, str] = {}
    fitting = []
    for result in results:
        size = measure(result)
        if size > max_bytes:
            failures[result.result_id] = f"the result has {size} bytes, the limit is {max_bytes}"
        else:
            fitting.append(result)
    for batch in cut(fitting, measure, max_bytes, max_entries):
        failures.update(_send_with_retries(batch, sender, deadline, pause))
    return failures


def send_each(
    results: Sequence[Result], put: Callable[[Result], None], deadline: Deadline
) -> dict[str, str]:
    """Put one by one, several at a time; the client retries. Return what failed, id -> reason."""
    outcomes = deadline.run_all([partial(put, result) for result in results], THREADS)
    return {
        result.result_id: error_code(outcome)
        for result, outcome in zip(results, outcomes, strict=True)
        if isinstance(outcome, Exception)
    }


def _send_with_retries(
    batch: Sequence[Result],
    sender: Sender,
    deadline: Deadline,
    pause: Callable[[float], None],
) -> dict[str, str]:
    left = batch
    failures: dict[str, str] = {}
    for attempt in range(ATTEMPTS):
        if attempt:
            # Full jitter, so that functions throttled together do not come back together.
            pause(min(random.uniform(0, FIRST_PAUSE_S * 2**attempt), deadline.left_s()))
        try:
            failures = deadline.run(partial(sender, left))
        except Exception as error:  # time or the client's retries are spent: it failed whole
            return {result.result_id: error_code(error) for result in left}
        left = [result for result in left if result.result_id in failures]
        if not left:
            break
    return failures
