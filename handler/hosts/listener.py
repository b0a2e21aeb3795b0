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

import uvicorn
from starlette.types import ASGIApp

from handler.hosts.connection import Connection
from handler.hosts.connections import Connections
from handler.inference.monitor import dump_line

# Each takes some 10 KB, and one that is idle gives its place to one that is not.
MAX_CONNECTIONS = 512
# Files that are open beside the connections: the model, logs, what a burst brings before its
# connections are counted (BACKLOG of them in a turn of the loop, twice).
SPARE_FILES = 256
BACKLOG = 64  # connections that one turn of the loop accepts
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
        "asyncio": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
    },
}


class Server(uvicorn.Server):
    """uvicorn's server, which tells when it answers, and finishes what it has accepted."""

    def __init__(
        self,
        config: uvicorn.Config,
        announce: Callable[[], None],
        drain: Callable[[], None],
        life: int | None,
    ) -> None:
        super().__init__(config)
        self._announce = announce
        self._drain = drain
        self._life = life

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listening in sockets or []:
            listening.listen(QUEUE)  # asyncio accepts as many in a turn as it was told may wait
        if self._life is not None:
            asyncio.get_running_loop().add_reader(self._life, self._end_alone, self._life)
        self._announce()

    def _end_alone(self, life: int) -> None:
        asyncio.get_running_loop().remove_reader(life)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._drain()
        await asyncio.sleep(ACCEPT_S)
        for _ in range(QUEUE // BACKLOG + 1):  # turns of the loop, in which it accepts and reads
            await asyncio.sleep(0)
        await super().shutdown(sockets)


def make_server(
    app: ASGIApp,
    announce: Callable[[], None] = lambda: None,
    drain: Callable[[], None] = lambda: None,
    life: int | None = None,
    note: Callable[[int], None] = lambda count: None,
) -> Server:
    """Return the server of `app`.

    Args:
        announce: Called once requests are answered.
        drain: Called when a signal asks for the end, before the last requests.
        life: A file that can be read once the process that started this one is gone; None: none
            started it.
        note: Told how many connections there are.
    """
    connections = Connections(count_connections(), note)
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
    return Server(config, announce, drain, life)


def count_connections() -> int:
    """Return how many connections the process can hold: MAX_CONNECTIONS if it may open as many."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, min(MAX_CONNECTIONS, files - SPARE_FILES))
