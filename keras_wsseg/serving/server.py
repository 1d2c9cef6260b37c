"""Runs a service until it is told to stop, and stops it without losing what it has in hand."""

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

# What is sent is small or was bounded before: this is for clients that read slowly.
_SECONDS_TO_SEND = 5
# Connections that asyncio accepts before it looks at any of them.
_ACCEPTED_AT_ONCE = 128


class Server(uvicorn.Server):
    """A web server that takes on no more work after SIGTERM or SIGINT, finishes what it has, and ends.

    Until then it still answers: `/ready` with a 503, so that whoever spreads the load looks elsewhere, and
    `/predict` with one too. A second signal ends it at once.

    Args:
        service: `Service`.
        allow_origins: as of `build_app`.
        say: called with each line for whoever watches.

    Attributes:
        abandoned: requests in hand that were given up when the time for stopping was over.
    """

    def __init__(self, service, allow_origins=(), say=print):
        # Plug-ins that Pillow loads on first use would be loaded by several threads at once.
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
        self._told = False

    def handle_exit(self, sig, frame):
        """Called with a signal; uvicorn's own would then end the process by that signal, not by returning."""
        now = time.monotonic()
        self._deadline = now if self._service.stopping else now + self._service.limits.grace
        self._service.stopping = True

    async def startup(self, sockets=None):
        """Begins to answer, and says so."""
        await super().startup(sockets)
        segmenter = self._service.segmenter
        self._say(f"Serving {segmenter.path.name} on {_address(sockets[0])} ({segmenter.provider_note})")

    async def on_tick(self, counter):
        """Called ten times a second; returns whether to end."""
        if await super().on_tick(counter):
            return True
        if self._deadline is None:
            return False
        in_flight = self._service.metrics.in_flight
        if in_flight and not self._told:
            self._told = True
            grace = self._service.limits.grace
            self._say(f"Stopping: at most {grace:g} seconds for requests in hand: {in_flight}")
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
        port: port to listen on; 0 for any that is free.
        allow_origins: as of `build_app`.
        say: called with each line for whoever watches.

    Returns:
        whether all requests in hand got their answers.

    Raises:
        OSError: if the address cannot be listened on.
    """
    server = Server(service, allow_origins, say)
    _log_in_lines()
    # Pillow has a word for each flaw in each image that strangers send.
    warnings.filterwarnings("ignore", module="PIL")
    with listen(host, port) as listener:
        asyncio.run(server.serve([listener]))
    service.pool.close()
    given_up = f", requests given up: {server.abandoned}" if server.abandoned else ""
    say(f"Stopped; images segmented: {service.metrics.images}{given_up}")
    return not server.abandoned


def listen(host, port):
    """A socket that listens.

    Args:
        host: name or address.
        port: 0 for any that is free.

    Raises:
        OSError: if there can be none.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=_ACCEPTED_AT_ONCE)
    except (OSError, OverflowError, UnicodeError) as error:
        said = str(getattr(error, "strerror", None) or error).partition(" (while")[0]
        raise OSError(
            f"`host` and `port` must be an address that is free here. Received: {host}:{port}: {said}"
        ) from error
    # Connections inherit it. Without, the body of an answer waits 40 ms until its headers are acknowledged,
    # and asyncio sets it on sockets alone that name their protocol.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _address(listener):
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _InLines(logging.Handler):
    """Writes each record as one line on the error stream of now, without what Python adds to exceptions."""

    def emit(self, record):
        said = " ".join(record.getMessage().split())
        if record.exc_info and record.exc_info[1] is not None:
            said += f": {single_line(record.exc_info[1])}"
        print(f"keras-wsseg: {said}", file=sys.stderr, flush=True)


def _log_in_lines():
    # What a client sends wrongly is told to the client alone: strangers do not fill the log.
    for name in ("python_multipart", "multipart"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for name in ("uvicorn", "asyncio", "keras_wsseg.serving"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.ERROR)
        if not any(isinstance(handler, _InLines) for handler in logger.handlers):
            logger.addHandler(_InLines())
