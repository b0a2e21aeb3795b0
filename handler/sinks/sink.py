"""What a sink is, and what it is given. A result sent twice is one result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from handler.errors import DeliveryError, HandlerError

if TYPE_CHECKING:
    from handler.deadline import Deadline

Item = TypeVar("Item")


@dataclass(frozen=True)
class Result:
    """One record's outcome.

    Args:
        result_id: Hash of source id and model: the same for every delivery of the same record.
        document: What is sent, ready for JSON.
        group: FIFO group of the source, so that the order lives on; empty: none.
        traceparent: Of the trace that goes on in it; empty: none.
    """

    result_id: str
    document: Mapping[str, Any]
    group: str = ""
    traceparent: str = ""


class Sink(Protocol):
    """Sends results; `feeds` tells whether a source with this ARN would read them back."""

    overwrites: bool

    def send(self, results: Sequence[Result], deadline: Deadline) -> dict[str, str]:
        """Send all; return the ids of those that failed after retries, or had not been sent by
        the deadline, with the reason."""

    def feeds(self, source_arn: str) -> bool: ...


def send_once(
    sink: Sink,
    results: Mapping[int, Result],
    deadline: Deadline,
    failures: dict[int, HandlerError],
    what: str,
) -> None:
    """Send the results of a batch, each once; add the records of what could not be sent to
    `failures`.

    Two records of one batch can be the same: a sender that tried again within a second.

    Args:
        results: Index of the record -> what is sent of it.
        what: What people call it.
    """
    unique = {result.result_id: result for result in results.values()}
    unsent = sink.send(list(unique.values()), deadline)
    for index, result in results.items():
        if result.result_id in unsent:
            failures[index] = DeliveryError(f"{what} could not be sent: {unsent[result.result_id]}")


def cut(
    items: Sequence[Item],
    measure: Callable[[Item], int],
    most: int,
    max_items: int | None = None,
) -> Iterator[list[Item]]:
    """Yield the items in order, as many together as may be; one that is too large stands alone.

    Args:
        measure: Returns what an item counts, such as its bytes.
        most: That a part may count.
        max_items: Of a part; None: any number.
    """
    part: list[Item] = []
    size = 0
    for item in items:
        added = measure(item)
        if part and (len(part) == max_items or size + added > most):
            yield part
            part, size = [], 0
        part.append(item)
        size += added
    if part:
        yield part
