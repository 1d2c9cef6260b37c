"""Reads request bodies within a memory limit."""

import asyncio
import contextlib
import sys

from python_multipart.exceptions import FormParserError
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from keras_wsseg.serving.answer_format import FIELDS
from keras_wsseg.serving.request_error import RequestError, busy

MEDIA_TYPES = ("image/png", "image/jpeg", "image/webp", "image/tiff", "image/bmp")
# What browsers and tools send for the same five, or for an unknown type.
_OTHER_NAMES = ("image/jpg", "image/x-ms-bmp", "image/x-bmp", "application/octet-stream", "")
_FORM = "multipart/form-data"
# More than are accepted, so that an error can name the invalid one.
_MOST_FIELDS = 16
_FORM_RULE = f"The form must hold one file, and otherwise only {' and '.join(FIELDS)}."


class UploadReader:
    """Reads one image from a request body: the body itself, or the one file of a form.

    Besides the file a form may have the fields that are otherwise in the query, `format` and `alpha`.

    Args:
        limits: `ServiceLimits`.
        count_refused: called with the number of bytes of each request body that was too large.
    """

    def __init__(self, limits, count_refused):
        self.held = 0
        self._limits = limits
        self._count_refused = count_refused

    @contextlib.asynccontextmanager
    async def read(self, request):
        """The bytes of the image, which count as held while the context is open, and the other fields.

        Args:
            request: a Starlette `Request` whose body is unread.

        Yields:
            `(data, fields)`: bytes, and the `(name, string)` of each field.

        Raises:
            RequestError: if the body is of another type, too large, too slow, empty, or an invalid form.
        """
        media_type = _media_type(request)
        self._check_length(request)
        own = _ReceivedBytes()
        try:
            counted = Request(request.scope, self._counted(request.receive, own))
            try:
                async with asyncio.timeout(self._limits.read_timeout):
                    read = _file_of_form(counted) if media_type == _FORM else _body(counted)
                    data, fields = await read
            except TimeoutError:
                raise RequestError(
                    408, f"A request must arrive within {self._limits.read_timeout:g} seconds."
                ) from None
            except ClientDisconnect:
                raise RequestError(499, "The client disconnected while sending.") from None
            if not data:
                raise RequestError(400, "The request body must be an image. Received: an empty body")
            yield data, fields
        finally:
            self.held -= own.count

    def _check_length(self, request):
        length = request.headers.get("content-length", "0")
        if int(length) > self._limits.max_bytes:
            self._refuse(int(length))

    def _counted(self, receive, own):
        async def counted():
            message = await receive()
            size = len(message.get("body", b""))
            own.count += size
            self.held += size
            if own.count > self._limits.max_bytes:
                self._refuse(own.count)
            if self.held > self._limits.max_held_bytes:
                raise busy("The service is out of upload memory: try again later.")
            return message

        return counted

    def _refuse(self, count):
        self._count_refused(count)
        raise RequestError(
            413,
            f"The request body must have at most {self._limits.max_bytes} bytes. Received: {count} or more",
        )


class _ReceivedBytes:
    count = 0


class _InMemory(MultiPartParser):
    # Request bodies are already bounded, and a container may have no folder for temporary files.
    spool_max_size = sys.maxsize


def is_form(request):
    """Whether the request body is a form, whose fields may add to the query."""
    return _declared_type(request) == _FORM


def _declared_type(request):
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _media_type(request):
    media_type = _declared_type(request)
    if media_type not in (*MEDIA_TYPES, *_OTHER_NAMES, _FORM):
        raise RequestError(
            415,
            f"Content-Type must be one of {', '.join((*MEDIA_TYPES, _FORM))}. Received: {media_type[:100]!r}",
            {"Accept": ", ".join((*MEDIA_TYPES, _FORM))},
        )
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise RequestError(
            415,
            f"The request body must be sent without Content-Encoding. Received: {encoding[:100]!r}",
            {"Accept-Encoding": "identity"},
        )
    return media_type


async def _body(request):
    return await request.body(), []


async def _file_of_form(request):
    """The file of a form, and its other fields."""
    parser = _InMemory(request.headers, request.stream(), max_files=1, max_fields=_MOST_FIELDS)
    try:
        form = await parser.parse()
    # Forms declare the encoding of their strings, which may be unknown or fail to decode.
    except (FormParserError, MultiPartException, ValueError, LookupError) as error:
        reason = " ".join((getattr(error, "message", None) or str(error)).split())
        raise RequestError(400, f"{_FORM_RULE} Received: {reason}") from None
    data, fields = None, []
    try:
        for name, value in form.multi_items():
            if not isinstance(value, str):
                data = await value.read()
            elif name in FIELDS:
                fields.append((name, value))
            else:
                raise RequestError(400, f"{_FORM_RULE} Received: a field {name[:100]!r}")
    finally:
        await form.close()
    if data is None:
        raise RequestError(400, f"{_FORM_RULE} Received: no file")
    return data, fields
