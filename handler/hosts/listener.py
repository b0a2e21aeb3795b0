"""uvicorn as it runs here: one choice of parser and loop, limits, and an end that loses nothing."""

from __future__ import annotations

import asyncio
import functools
import logging
import resource
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from handler.hosts.connection import Connection
from handler.hosts.connections import Connections
from handler.hosts.shared_socket import PAUSE_S, Share
from handler.inference.monitor import dump_line

# Each takes some 10 KB, and one that is idle gives its place to one that is not.
MAX_CONNECTIONS = 512
# Files that are open beside the connections: the model, logs, what a burst brings before its
# connections are counted (BACKLOG of them in a turn of the loop, twice).
SPARE_FILES = 256
BACKLOG = 64  # connections that one turn of the loop accepts
RETRY_S = 1.0  # after a connection that could not be accepted
QUEUE = 1024  # that wait to be accepted
# After a signal. Connections that wait to be accepted and requests on their way come in meanwhile;
# containers are killed 10 s after it, and all of it takes at most 7.
ACCEPT_S = 0.5
GRACE_S = 5
LOG_PERIOD_S = 10.0


class JsonFormatter(logging.Formatter):
    """uvicorn's own lines (a broken request, a lost client) in the form of ours."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "timestamp": round(record.created, 3),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["problem"] = record.exc_info[0].__name__  # its text may quote a request
        return dump_line(line)


class Seldom(logging.Filter):
    """Lets a line through once in LOG_PERIOD_S, and says how many like it were left out."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._until: dict[tuple[str, int], float] = {}
        self._left_out: Counter[tuple[str, int]] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        now = self._clock()
        place = record.pathname, record.lineno  # a message may hold an address of memory
        if now < self._until.get(place, now):
            self._left_out[place] += 1
            return False
        self._until[place] = now + LOG_PERIOD_S
        count = self._left_out.pop(place, 0)
        if count:
            record.msg, record.args = f"{record.getMessage()} (and {count} more like it)", ()
        return True


LOG_CONFIG = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"seldom": {"()": Seldom}},
    "formatters": {"json": {"()": JsonFormatter}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "json", "filters": ["seldom"]}
    },
    "loggers": {
        "uvicorn": {"handlers": ["stderr"], "level": "WARNING"},
        "opentelemetry": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        "asyncio": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
    },
}


@dataclass(frozen=True)
class Worker:
    """What a server knows that shares its listening socket with others.

    Args:
        share: Says which connections are its own.
        life: A file that can be read once the process that started this one is gone.
    """

    share: Share
    life: int


class Server(uvicorn.Server):
    """uvicorn's server, which tells when it answers, and finishes what it has accepted."""

    def __init__(
        self,
        config: uvicorn.Config,
        announce: Callable[[], None],
        drain: Callable[[], None],
        finish: Callable[[], None],
        worker: Worker | None,
    ) -> None:
        super().__init__(config)
        self._announce = announce
        self._drain = drain
        self._finish = finish
        self._worker = worker
        self._accepting: set[asyncio.Task[object]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # A worker accepts by itself: asyncio would take all that come.
        await super().startup(sockets if self._worker is None else [])
        for listening in sockets or []:
            listening.listen(QUEUE)  # asyncio accepts as many in a turn as it was told may wait
            if self._worker is not None:
                listening.setblocking(False)
                self._heed(listening, self._worker.share)
        if self._worker is not None:
            life = self._worker.life
            asyncio.get_running_loop().add_reader(life, self._end_alone, life)
        self._announce()

    def _heed(self, listening: socket.socket, share: Share) -> None:
        if listening.fileno() >= 0:  # not closed meanwhile
            loop = asyncio.get_running_loop()
            loop.add_reader(listening, self._accept, listening, share)

    def _accept(self, listening: socket.socket, share: Share) -> None:
        """Accept what this worker shall have of the connections that wait."""
        loop = asyncio.get_running_loop()
        for _ in range(BACKLOG):
            pause_s = 0.0
            if not share.may_accept():
                pause_s = PAUSE_S
            else:
                try:
                    accepted, _ = listening.accept()
                except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                    return
                except OSError as error:  # files or memory are short
                    logging.getLogger("uvicorn.error").error("no connection (%s)", error.strerror)
                    pause_s = RETRY_S
            if pause_s:
                loop.remove_reader(listening)
                loop.call_later(pause_s, self._heed, listening, share)
                return
            share.take()
            accepted.setblocking(False)
            making = loop.connect_accepted_socket(self._make_connection, accepted)
            task = loop.create_task(making)
            self._accepting.add(task)
            task.add_done_callback(self._accepting.discard)

    def _make_connection(self) -> asyncio.Protocol:
        make: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    def _end_alone(self, life: int) -> None:
        asyncio.get_running_loop().remove_reader(life)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._drain()
        await asyncio.sleep(ACCEPT_S)
        for _ in range(QUEUE // BACKLOG + 1):  # turns of the loop, in which it accepts and reads
            await asyncio.sleep(0)
        if self._worker is not None:
            for listening in sockets or []:
                asyncio.get_running_loop().remove_reader(listening)
        await super().shutdown(sockets)
        self._finish()  # here, since uvicorn then raises the signal that asked for the end


def make_server(
    app: ASGIApp,
    announce: Callable[[], None] = lambda: None,
    drain: Callable[[], None] = lambda: None,
    finish: Callable[[], None] = lambda: None,
    worker: Worker | None = None,
) -> Server:
    """Return the server of `app`.

    Args:
        announce: Called once requests are answered.
        drain: Called when a signal asks for the end, before the last requests.
        finish: Called behind the last ones.
        worker: For one of several that share a listening socket; None: this is the only one.
    """
    limit = count_connections()
    connections = Connections(limit) if worker is None else Connections(limit, worker.share.note)
    config = uvicorn.Config(
        app,
        http=functools.partial(Connection, connections),  # type: ignore[arg-type]  # makes one
        loop="asyncio",  # uvloop's is not quicker for requests as small as these
        ws="none",
        log_config=LOG_CONFIG,
        access_log=False,  # the service writes a line for each request itself
        server_header=False,
        lifespan="off",
        proxy_headers=False,  # nobody asks who the client is
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACE_S,
    )
    return Server(config, announce, drain, finish, worker)


def count_connections() -> int:
    """Return how many connections the process can hold: MAX_CONNECTIONS if it may open as many."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, min(MAX_CONNECTIONS, files - SPARE_FILES))
