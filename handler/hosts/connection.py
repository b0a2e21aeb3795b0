"""One client's connection: uvicorn's own protocol, and what a hostile client would make of it.

uvicorn parses by llhttp, which refuses whatever two readers could take for two different requests.
Added here: the head comes in time and is not endless, an upgrade that is not made does not swallow
the request, an early answer reaches a client that still sends, and connections are counted.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from handler.hosts.connections import Connections, count_unread
from handler.hosts.request_head import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    broken,
    check_head,
    encode_refusal,
    head_too_large,
)
from handler.http.messages import Refusal

HEAD_TIMEOUT_S = 10.0
MAX_PIPELINED = 32  # browsers and proxies send one request at a time
# A client that still sends reads its answer only afterwards, and would lose it with the connection:
# what it sends is read on, unkept.
LINGER_S = 2.0
LINGER_BYTES = 18_000_000
# At a time. asyncio's own 256 KB would be 128 MB of all connections, and chunks of one byte each
# take a millisecond in 8 KB.
READ_BYTES = 16_384
WRITE_BYTES = 16_384  # of an answer that wait to be sent, before it counts as unread
STALL_TIMEOUT_S = 30.0  # for a client that does not read its answer


class Connection(HttpToolsProtocol):
    """uvicorn's protocol on httptools, hardened.

    Args:
        connections: Those of the process.
        arguments: Of uvicorn.
    """

    def __init__(self, connections: Connections, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._all = connections
        self._socket: asyncio.Transport = None  # type: ignore[assignment]  # until it is made
        self._timer: asyncio.TimerHandle | None = None  # until the head is whole
        self._stall: asyncio.TimerHandle | None = None
        self._num_unframed = 0  # bytes since the last piece of a request that counts
        self._num_head = 0
        self._in_head = True
        self._refusal: Refusal | None = None
        self._num_waiting = 0  # requests that are not answered
        self._num_discarded: int | None = None  # None: what comes is not discarded

    # What asyncio calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._socket = transport
        transport.max_size = READ_BYTES  # type: ignore[attr-defined]  # of asyncio's own transport
        transport.set_write_buffer_limits(WRITE_BYTES)
        # Of an answer in two packets the second would wait 40 ms for the first one's receipt.
        # asyncio sees to it only where the socket was made with the protocol's number.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._all.admit(self):
            self._time_head()
        else:
            self._refuse(Refusal(503, "too many connections at a time"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.remove(self)
        for timer in (self._timer, self._stall, self.timeout_keep_alive_task):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        self._drop_body()
        self.cycle = None  # type: ignore[assignment]  # it knows this connection: both would stay
        self.pipeline.clear()

    def data_received(self, data: bytes) -> None:
        if self._num_discarded is not None:
            self._num_discarded += len(data)
            if self._num_discarded > LINGER_BYTES:
                self._socket.abort()
            return
        if self._refusal is not None:
            return
        self._num_unframed += len(data)
        self._unset_keepalive_if_required()
        if self._is_between():
            self._time_head()
        try:
            self._feed(data)
            if self._num_unframed > MAX_HEAD_BYTES:
                raise head_too_large()
        except httptools.HttpParserError as error:
            ours = error.__context__  # raised in what the parser calls
            self._refuse(ours if isinstance(ours, Refusal) else broken(error))
        except Refusal as error:
            self._refuse(error)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Say whether to stay: a client that has sent its request whole may have half closed."""
        if self._num_discarded is not None or self._is_between() or self.cycle.more_body:
            return False
        self.cycle.keep_alive = False
        return True

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                rest = data[upgrade.args[0] :]
            # No upgrade is made, so the request is one as any other (RFC 9110, 7.8); its body would
            # be taken for another protocol. Clients that try HTTP/2 first send such requests.
            version = self.parser.get_http_version().encode()
            head = [self.parser.get_method(), b" ", self.url, b" HTTP/", version, b"\r\n"]
            for name, value in self.headers:
                if name not in (b"upgrade", b"http2-settings"):
                    head += [name, b": ", value, b"\r\n"]
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
            data = b"".join([*head, b"\r\n", rest])

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall = self.loop.call_later(STALL_TIMEOUT_S, self._socket.abort)
        self._all.add_unread(self, self._socket.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        self._all.set_read(self)
        if self._num_waiting:
            self._all.set_busy(self)
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    # What the parser calls

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._num_head = 0
        self._num_unframed = max(1, self._num_unframed)  # a first letter, after what was complete
        self._in_head = True
        if len(self.pipeline) >= MAX_PIPELINED:
            raise Refusal(400, "too many requests before the first one is answered")
        self._time_head()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer: what it says came too late to be heeded (RFC 9110, 6.5.1)
        super().on_header(name, value)
        self._count_head(len(name) + len(value))
        if len(self.headers) > MAX_HEADERS:
            raise Refusal(431, f"the limit is {MAX_HEADERS} headers")

    def on_headers_complete(self) -> None:
        if self.parser.get_method() == b"CONNECT":
            raise Refusal(405, "CONNECT is for proxies, and this is none")
        check_head(self.parser.get_http_version(), self.url, self.headers)
        if self.parser.should_upgrade():
            return  # fed again, without the upgrade
        self._num_waiting += 1
        self._in_head = False
        self._num_unframed = 0
        self._cancel_timer()
        self._all.set_busy(self)
        super().on_headers_complete()
        self.cycle.transport = Polite(self, self.parser.get_method())  # type: ignore[assignment]  # all that it calls

    def on_body(self, body: bytes) -> None:
        self._num_unframed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._num_unframed = 0
        super().on_message_complete()

    # What a cycle of request and response calls

    def on_response_complete(self) -> None:
        self._num_waiting -= 1
        super().on_response_complete()
        if self._socket.is_closing() or self._num_discarded is not None:
            self._unset_keepalive_if_required()
        elif self._refusal is not None and self._is_between():
            self._send_refusal(self._refusal)
        elif self._is_between():
            self._all.set_idle(self)

    def timeout_keep_alive_handler(self) -> None:
        if self._socket.get_write_buffer_size():
            self._socket.abort()  # it was answered, and does not read
        else:
            super().timeout_keep_alive_handler()

    def close_politely(self) -> None:
        """Close, once a client that still sends its body can have read the answer."""
        if self._num_discarded is not None:
            return
        self._all.set_idle(self)
        if self.cycle is None or not self.cycle.more_body:
            self._close_or_abort()
            return
        self._linger()

    def give_way(self) -> None:
        """Close at once, for another connection."""
        self._socket.abort()

    def shutdown(self) -> None:
        if self._stall is not None:  # an answer that is not read may not keep the process
            self._stall.cancel()
            self._stall = self.loop.call_later(LINGER_S, self._socket.abort)
        is_read = self._num_discarded is None and self._is_between()
        if is_read and (self._num_unframed or count_unread(self._socket)):
            return  # a request is on its way, and the process waits for all connections
        super().shutdown()

    def _linger(self) -> None:
        self._cancel_timer()
        self._drop_body()
        if not self._all.may_linger(self):
            self._close_or_abort()
            return
        self._num_discarded = 0
        try:
            self._socket.write_eof()
        except OSError:  # the client has reset it: there is nobody to read an answer
            self._socket.abort()
            return
        self.flow.resume_reading()
        self._timer = self.loop.call_later(LINGER_S, self._socket.abort)

    def _drop_body(self) -> None:
        if self.cycle is not None:
            self.cycle.body = bytearray()  # the cycle itself may live until garbage is collected

    def _close_or_abort(self) -> None:
        self._socket.close()
        self._cancel_timer()
        self._timer = self.loop.call_later(STALL_TIMEOUT_S, self._socket.abort)

    def _is_between(self) -> bool:
        """Say whether no request is at work: none came, or the last was answered."""
        return self._num_waiting == 0

    def _time_head(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(HEAD_TIMEOUT_S, self._give_up_head)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up_head(self) -> None:
        self._timer = None
        if self._num_unframed:
            detail = f"the request's head did not arrive within {HEAD_TIMEOUT_S:g} s"
            self._refuse(Refusal(408, detail))
        else:
            self._socket.close()

    def _count_head(self, num_bytes: int) -> None:
        self._num_head += num_bytes
        if self._num_head > MAX_HEAD_BYTES:
            raise head_too_large()

    def _refuse(self, refusal: Refusal) -> None:
        """Answer by a refusal, after those that are at work, and close."""
        self._refusal = refusal
        self._cancel_timer()
        self.logger.warning("a connection was refused: %s", refusal.detail)
        if self._is_between():
            self._send_refusal(refusal)
        elif self.cycle.more_body:
            self._drop_broken(refusal)

    def _drop_broken(self, refusal: Refusal) -> None:
        """Forget the last request, whose body is broken: there is no answer to it but `refusal`."""
        if self.pipeline:  # not begun; the refusal follows the answers to those before
            self.pipeline.popleft()
            self._num_waiting -= 1
            return
        cycle = self.cycle
        cycle.waiting_for_100_continue = False
        cycle.disconnected = True
        cycle.message_event.set()
        if cycle.response_started:
            self._close_or_abort()
        else:
            self._send_refusal(refusal)

    def _send_refusal(self, refusal: Refusal) -> None:
        self._all.set_idle(self)
        self._socket.write(encode_refusal(refusal, self.server_state.default_headers))
        self._linger()


class Polite:
    """The transport as a cycle of request and response uses it, which closes politely."""

    def __init__(self, connection: Connection, method: bytes) -> None:
        self._connection = connection
        self._write: Callable[[bytes], None] = connection.transport.write
        self.is_closing: Callable[[], bool] = connection.transport.is_closing
        # The head, until the body comes: one packet for both. None: there was none yet.
        self._head: bytes | None = b"" if method == b"HEAD" else None

    def write(self, data: bytes) -> None:
        if self._head is None and not data.startswith(b"HTTP/1.1 100 "):
            self._head = data
            return
        if self._head and len(data) > WRITE_BYTES:
            self._write(self._head)
        elif self._head:
            data = self._head + data
        self._head = self._head and b""
        self._write(data)

    def close(self) -> None:
        self._connection.close_politely()
