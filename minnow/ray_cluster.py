"""A cluster of Ray, and a pool of actors on it that are given work, and given it again where one of
them ends."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from typing import Any, TextIO

from handler.errors import DeliveryError
from minnow.extras import require
from minnow.ray_actor import Actor, Outcome

CLIENT = "ray://"  # begins the address of a cluster that this machine is no part of
REACH_S = 10.0
LOOK_S = 1.0  # between two looks, while all actors are at work
PATIENCE_S = 30.0  # until it is said that the cluster has no room
# An actor can end through no fault of its work: a machine that is taken away, another's memory.
MAX_ATTEMPTS = 5
MAX_STARTS = 3  # in turn without one that works
# Of a cluster that is started here: blocks of texts pass through it, some megabytes at a time.
STORE_BYTES = 256 << 20
# Of a cluster that is started here, unless the user says otherwise: it tells nobody, and its
# processes are no less urgent than others (Ray's own are).
OWN_SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}


@contextmanager
def connected(address: str | None, workers: int) -> Iterator[bool]:
    """Join a cluster, or start one on this machine, which ends with the block.

    Args:
        address: As `ray.init` takes it; None: that of `RAY_ADDRESS`, or a cluster of this machine.
        workers: Actors that a cluster of this machine has room for.

    Yields:
        Whether all of it is on this machine.

    Raises:
        DeliveryError: No cluster answers there.
    """
    require("ray")
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    for name, value in OWN_SETTINGS.items():
        os.environ.setdefault(name, value)
    import ray

    _init(address, workers)
    try:
        alive = [node for node in ray.nodes() if node["Alive"]]
        with redirect_stdout(sys.stderr):  # where Ray says what becomes of its processes
            yield len(alive) == 1 and not address.startswith(CLIENT)
    finally:
        ray.shutdown()


def _init(address: str, workers: int) -> None:
    import ray
    import ray.exceptions

    own = {"num_cpus": workers, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    with _own_signals():
        try:
            _reach(address)
            ray.init(
                address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                **(own if address == "local" else {}),
            )
        except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            reason = str(error).split("\n")[0]
            raise DeliveryError(
                f"--address {address}: no cluster of Ray can be joined there ({reason}). Ask "
                "ray status there; Ray and Python are to be of the same versions on both sides"
            ) from error


def _reach(address: str) -> None:
    """Raise OSError where nothing listens at HOST:PORT, which Ray tries for many minutes."""
    host, _, port = address.removeprefix(CLIENT).rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), REACH_S).close()


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep this process's answer to SIGTERM, which Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def count_cpus() -> int:
    """Return how many processors the cluster has now."""
    import ray

    return max(1, int(ray.cluster_resources().get("CPU", 1)))


@dataclass(eq=False)
class Ticket:
    """One piece of work, which an actor may have or have done."""

    method: str
    argument: Any
    attempts: int = 0
    outcome: Outcome | None = None


@dataclass(eq=False)
class _Member:
    """An actor, and the work that it has in hand by Ray's reference of its result."""

    handle: Any
    opening: Any
    in_hand: dict[Any, Ticket] = field(default_factory=dict)


class Pool:
    """Actors of one model.

    Args:
        number: Of actors; those that find room work, the others join when they do.
        opened: What `Actor.open` is called with.
        depth: Pieces of work that an actor has in hand.
        is_here: Actors run on this machine alone.
        progress: Where it is said that there is no room; None: nowhere.
    """

    def __init__(
        self,
        number: int,
        opened: tuple[Any, ...],
        depth: int,
        is_here: bool,
        progress: TextIO | None,
    ) -> None:
        import ray

        self.number, self.depth = number, depth
        self._progress = progress
        self._opened = [ray.put(one) for one in opened]
        self._make = _make_factory(is_here)
        self._waiting: deque[Ticket] = deque()
        self._failed_starts = 0
        self._last_change = time.monotonic()
        self._members = [self._start() for _ in range(number)]

    def submit(self, method: str, argument: Any) -> Ticket:
        """Give a piece of work to whoever is first to have a hand free."""
        ticket = Ticket(method, argument)
        self._waiting.append(ticket)
        self._give()
        return ticket

    def wait(self, ticket: Ticket) -> Any:
        """Return the result of one; raises what it has raised."""
        while ticket.outcome is None:
            self.look()
        if ticket.outcome.error is not None:
            raise ticket.outcome.error
        return ticket.outcome.result

    def look(self) -> list[Ticket]:
        """Wait a moment; return what was done since.

        Raises:
            ArtefactError: The model cannot be opened there.
            DeliveryError: Actors end again and again.
        """
        import ray

        self._give()
        owners = {ref: member for member in self._members for ref in _list_refs(member)}
        ready, _ = ray.wait([*owners], num_returns=1, timeout=LOOK_S)
        self._tell_of_room()
        done = [self._take(owners[ref], ref) for ref in ready]
        self._give()
        return [ticket for ticket in done if ticket is not None]

    def close(self) -> None:
        """End all actors, in the middle of whatever they do."""
        import ray

        for member in self._members:
            ray.kill(member.handle)

    def _start(self) -> _Member:
        handle = self._make()
        return _Member(handle, handle.open.remote(*self._opened))

    def _give(self) -> None:
        """Give what waits to those that have fewest in hand."""
        free = [one for one in self._members if one.opening is None]
        while self._waiting and free:
            member = min(free, key=lambda one: len(one.in_hand))
            if len(member.in_hand) >= self.depth:
                return
            ticket = self._waiting.popleft()
            ref = getattr(member.handle, ticket.method).remote(ticket.argument)
            member.in_hand[ref] = ticket

    def _take(self, member: _Member, ref: Any) -> Ticket | None:
        """Take a result; None where it is no work's, or its actor has ended."""
        import ray

        self._last_change = time.monotonic()
        try:
            outcome: Outcome = ray.get(ref)
        except ray.exceptions.RayError as error:
            self._replace(member, error)
            return None
        if ref == member.opening:
            if outcome.error is not None:
                raise outcome.error
            member.opening, self._failed_starts = None, 0
            return None
        ticket = member.in_hand.pop(ref)
        ticket.outcome = outcome
        return ticket

    def _replace(self, member: _Member, error: Exception) -> None:
        """Start another actor in an actor's place, and let what that one had in hand wait again."""
        import ray

        ray.kill(member.handle)  # one that is only out of reach must not go on beside the other
        if member.opening is not None:
            self._failed_starts += 1
        for ticket in reversed(member.in_hand.values()):
            ticket.attempts += 1
            self._waiting.appendleft(ticket)
        attempts = max((ticket.attempts for ticket in member.in_hand.values()), default=0)
        if self._failed_starts >= MAX_STARTS or attempts >= MAX_ATTEMPTS:
            raise _describe_end(error, attempts) from error
        self._members.remove(member)
        self._members.append(self._start())

    def _tell_of_room(self) -> None:
        if any(member.opening is None for member in self._members) or self._progress is None:
            return
        if time.monotonic() - self._last_change > PATIENCE_S:
            self._last_change = time.monotonic()
            print("the cluster has no room for an actor yet: see ray status", file=self._progress)


def _list_refs(member: _Member) -> list[Any]:
    return [*member.in_hand] if member.opening is None else [member.opening]


def _describe_end(error: Exception, attempts: int) -> DeliveryError:
    if attempts >= MAX_ATTEMPTS:
        return DeliveryError(
            f"the actor that has it in hand ended {attempts} times, as for want of memory. The "
            "same command goes on from here; Ray's log says why an actor ended"
        )
    missing = [line for line in str(error).splitlines() if "ModuleNotFoundError" in line]
    reason = missing[-1].strip() if missing else type(error).__name__
    return DeliveryError(
        f"actors end at their start ({reason}): every node needs the same minnow-maas[cpu,events] "
        "as here, by its image or by runtime_env (docs/outgrowing.md)"
    )


def _make_factory(is_here: bool) -> Callable[[], Any]:
    """Return what makes an actor of one processor."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    options: dict[str, Any] = {"num_cpus": 1, "max_restarts": 0}
    if is_here:
        node = ray.get_runtime_context().get_node_id()
        options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node, soft=False)
    remote = ray.remote(Actor)
    return lambda: remote.options(**options).remote()
