"""HTTP with clients that are given so much time and no more."""

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

# Bytes a second: less than any line carries today, more than it pays to dribble.
MIN_BYTES_PER_SECOND = 16 * 1024
# A process has some 1000 files by default; without one left, asyncio complains thousands of times a second.
MOST_CONNECTIONS = 500


class ReadTimeoutProtocol(H11Protocol):
    """Closes connections on which nothing moves, and those beyond `MOST_CONNECTIONS` at once.

    Uvicorn alone would keep them for ever.

    A client may take `timeout_keep_alive` seconds of uvicorn's configuration to send the headers of a
    request, and as many to send the rest of a body that was refused (to close at once would take the refusal
    from a client that reads only after it has written). It must take in an answer at no less than
    `MIN_BYTES_PER_SECOND` bytes a second, looked at in steps of as many seconds. A body that is being read is
    timed by its reader.
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
