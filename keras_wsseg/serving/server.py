"""Runs a service until it is signaled to stop, and finishes pending requests before it stops."""

import asyncio
import logging
import socket
import sys
import time
import warnings

import uvicorn
from PIL import Image

from keras_wsseg.serving.app import build_app
from keras_wsseg.serving.read_timeout_protocol import ReadTimeoutProtocol
from keras_wsseg.serving.service import single_line

# Responses are small or already bounded: this is for clients that read slowly.
_SECONDS_TO_SEND = 5
# Connections that asyncio accepts before it processes any of them.
_ACCEPTED_AT_ONCE = 128


class Server(uvicorn.Server):
    """A web server that accepts no more work after SIGTERM or SIGINT, finishes pending requests, and exits.

    Meanwhile it still responds: to `/ready` with a 503, so that load balancers stop using it, and to
    `/predict` with a 503 too. A second signal ends it immediately.

    Args:
        service: `Service`.
        allow_origins: as in `build_app`.
        say: called with each status line.

    Attributes:
        abandoned: number of pending requests that were canceled when the grace period ended.
    """

    def __init__(self, service, allow_origins=(), say=print):
        # Otherwise several threads would load Pillow's plug-ins at once, on first use.
        Image.init()
        config = uvicorn.Config(
            build_app(service, allow_origins),
            http=ReadTimeoutProtocol,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=_ACCEPTED_AT_ONCE,
            timeout_keep_alive=service.limits.read_timeout,
            timeout_graceful_shutdown=_SECONDS_TO_SEND,
        )
        super().__init__(config)
        self.abandoned = 0
        self._service = service
        self._say = say
        self._deadline = None
        self._announced = False

    def handle_exit(self, sig, frame):
        """Handles a signal; uvicorn's handler would then end the process by that signal, not by returning."""
        now = time.monotonic()
        self._deadline = now if self._service.stopping else now + self._service.limits.grace
        self._service.stopping = True

    async def startup(self, sockets=None):
        """Starts to serve, and reports it."""
        await super().startup(sockets)
        segmenter = self._service.segmenter
        self._say(f"Serving {segmenter.path.name} on {_address(sockets[0])} ({segmenter.provider_note})")

    async def on_tick(self, counter):
        """Called ten times a second; returns whether to exit."""
        if await super().on_tick(counter):
            return True
        if self._deadline is None:
            return False
        in_flight = self._service.metrics.in_flight
        if in_flight and not self._announced:
            self._announced = True
            grace = self._service.limits.grace
            self._say(f"Stopping: at most {grace:g} seconds for pending requests: {in_flight}")
        if in_flight and time.monotonic() < self._deadline:
            return False
        self.abandoned = in_flight
        self._service.give_up()
        return True


def serve(service, host, port, allow_origins=(), say=print):
    """Serves until SIGTERM or SIGINT.

    Args:
        service: `Service`.
        host: address to listen on.
        port: port to listen on; 0 for any free port.
        allow_origins: as in `build_app`.
        say: called with each status line.

    Returns:
        whether all pending requests were answered.

    Raises:
        OSError: if it cannot listen on the address.
    """
    server = Server(service, allow_origins, say)
    _log_in_lines()
    # Pillow warns of every flaw in every uploaded image.
    warnings.filterwarnings("ignore", module="PIL")
    with listen(host, port) as listener:
        asyncio.run(server.serve([listener]))
    service.pool.close()
    given_up = f", requests abandoned: {server.abandoned}" if server.abandoned else ""
    say(f"Stopped; images segmented: {service.metrics.images}{given_up}")
    return not server.abandoned


def listen(host, port):
    """Opens a listening socket.

    Args:
        host: name or address.
        port: 0 for any free port.

    Raises:
        OSError: if it cannot be opened.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=_ACCEPTED_AT_ONCE)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = str(getattr(error, "strerror", None) or error).partition(" (while")[0]
        raise OSError(
            f"`host` and `port` must be a free local address. Received: {host}:{port}: {reason}"
        ) from error
    # Connections inherit it. Without it a response body waits 40 ms until its headers are acknowledged, and
    # asyncio sets it only on sockets with an explicit protocol.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _address(listener):
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _InLines(logging.Handler):
    """Writes each record as one line to the current standard error, without tracebacks."""

    def emit(self, record):
        line = " ".join(record.getMessage().split())
        if record.exc_info and record.exc_info[1] is not None:
            line += f": {single_line(record.exc_info[1])}"
        print(f"keras-wsseg: {line}", file=sys.stderr, flush=True)


def _log_in_lines():
    # Errors in a client's request are reported only to the client, so that clients cannot fill the log.
    for name in ("python_multipart", "multipart"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for name in ("uvicorn", "asyncio", "keras_wsseg.serving"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.ERROR)
        if not any(isinstance(handler, _InLines) for handler in logger.handlers):
            logger.addHandler(_InLines())
