"""`eventbridge://BUS?detail_type=...`: one event a result, source `minnow`; the detail type is
`Minnow Prediction` where none is given."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from handler.aws import make_client
from handler.deadline import Deadline
from handler.event_settings import Target
from handler.sinks.sending import encode, send_batches
from handler.sinks.sink import Result
from handler.traces import write_xray

MAX_ENTRIES = 10  # PutEvents
SOURCE = "minnow"
# PutEvents counts source, detail type and time too.
DETAIL_BYTES = 262_144 - MAX_ENTRIES * 512


class EventBridgeSink:
    """Puts events on a bus; a reader tells a second send by `detail.result_id`."""

    overwrites = False

    def __init__(self, target: Target) -> None:
        self.target = target

    @cached_property
    def client(self) -> Any:
        return make_client("events")

    def send(self, results: Sequence[Result], deadline: Deadline) -> dict[str, str]:
        return send_batches(results, self._send, deadline, MAX_ENTRIES, DETAIL_BYTES)

    def feeds(self, source_arn: str) -> bool:
        return False  # `handler/events/eventbridge.py` refuses events of our own source

    def _send(self, results: Sequence[Result]) -> dict[str, str]:
        entries = [
            {
                "EventBusName": self.target.name,
                "Source": SOURCE,
                "DetailType": self.target.options.get("detail_type", "Minnow Prediction"),
                "Detail": encode(result),
                **({"TraceHeader": write_xray(result.traceparent)} if result.traceparent else {}),
            }
            for result in results
        ]
        reply = self.client.put_events(Entries=entries)
        return {
            result.result_id: entry["ErrorCode"]
            for result, entry in zip(results, reply["Entries"], strict=True)
            if entry.get("ErrorCode")
        }
