"""HTTP with time limits for clients."""

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

# Bytes per second: below any current connection, but too fast for slow-read attacks to pay off.
MIN_BYTES_PER_SECOND = 16 * 1024
# A process has some 1000 file descriptors by default; without a free one, asyncio logs thousands of errors a
# second.
MOST_CONNECTIONS = 500


class ReadTimeoutProtocol(H11Protocol):
    """Closes stalled connections, and those beyond `MOST_CONNECTIONS` immediately.

    Uvicorn alone would keep them forever.

    A client may take `timeout_keep_alive` seconds of uvicorn's configuration to send the headers of a
    request, and as many to send the rest of a rejected request body (closing immediately would hide the error
    from a client that reads only after it has written). It must read a response at no less than
    `MIN_BYTES_PER_SECOND` bytes per second, checked at the same interval. The time of a request body that is
    being read is limited by its reader.
    """

    _awaited = None
    _unsent = 0
    _timer = None

    def connection_made(self, transport):
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
        self._watch()

    def connection_lost(self, exc):
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data):
        super().data_received(data)
        self._watch()

    def on_response_complete(self):
        super().on_response_complete()
        self._watch()

    def _watch(self):
        awaited = self._awaited_part()
        if awaited == self._awaited:
            return
        self._awaited = awaited
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if awaited is None else self._start_timer()

    def _awaited_part(self):
        if self.transport.is_closing() and not self.transport.get_write_buffer_size():
            return None
        if self.transport.get_write_buffer_size():
            return "reader"
        if self.cycle is not None and not self.cycle.response_complete:
            return None
        if self.conn.their_state is h11.SEND_BODY:
            return "body"
        return "rest of headers" if self.conn.trailing_data[0] else "request"

    def _start_timer(self):
        self._unsent = self.transport.get_write_buffer_size()
        return self.loop.call_later(self.timeout_keep_alive, self._on_timeout)

    def _on_timeout(self):
        awaited = self._awaited_part()
        if awaited == self._awaited:
            taken = self._unsent - self.transport.get_write_buffer_size()
            if awaited != "reader" or taken < MIN_BYTES_PER_SECOND * self.timeout_keep_alive:
                self.transport.abort()
                return
            self._awaited = None
        self._watch()
