"""Processes uploaded images: queue, decoding, segmentation and response."""

import asyncio
import functools
import itertools
import logging
import time

from starlette.responses import Response

from keras_wsseg.serving.answer_format import AnswerFormat
from keras_wsseg.serving.decoding import decode_upload, open_upload
from keras_wsseg.serving.request_error import RequestError, busy
from keras_wsseg.serving.service_metrics import ServiceMetrics
from keras_wsseg.serving.upload_reader import UploadReader, is_form
from keras_wsseg.serving.worker_pool import WorkerPool

_LOG = logging.getLogger(__name__)


class Service:
    """Handles requests for masks, with bounded resources.

    Args:
        segmenter: `OnnxSegmenter`; called from several threads.
        limits: `ServiceLimits`.

    Attributes:
        pool: its `WorkerPool`.
        uploads: its `UploadReader`.
        metrics: its `ServiceMetrics`.
        stopping: set to True to accept no new work.
    """

    def __init__(self, segmenter, limits):
        self.segmenter = segmenter
        self.limits = limits
        self.pool = WorkerPool(limits.workers, limits.queue)
        self.metrics = ServiceMetrics(self.pool)
        self.stopping = False
        self.uploads = UploadReader(limits, self.metrics.count_refused)
        self._pending = set()
        self._given_up = False

    def give_up(self):
        """Ends all pending requests with a 503."""
        self.stopping = self._given_up = True
        for task in self._pending:
            task.cancel()

    async def predict(self, request):
        """Handles `POST /predict`.

        Args:
            request: a Starlette `Request`.

        Returns:
            the response.

        Raises:
            RequestError: if the request is rejected.
        """
        if self.stopping:
            raise busy("The service is stopping.")
        if not is_form(request):
            # Before the request body has arrived.
            self._wanted(request)
        if self.pool.is_full:
            raise busy("The service is at capacity: try again later.")
        task = asyncio.current_task()
        self._pending.add(task)
        try:
            return await self._answer(request)
        except asyncio.CancelledError:
            if not self._given_up:
                raise
            task.uncancel()
            raise busy("The service is stopping.") from None
        finally:
            self._pending.discard(task)

    async def _answer(self, request):
        async with self.uploads.read(request) as (data, fields):
            wanted = self._wanted(request, fields)
            work = functools.partial(self._segment, data, wanted, time.perf_counter())
            body, media_type, pixels, timing = await self._while_wanted(work, request)
        self.metrics.add_image(pixels)
        return Response(body, media_type=media_type, headers={"Server-Timing": timing})

    def _wanted(self, request, fields=()):
        """Parses the query and the form fields."""
        values = {}
        for name, text in (*request.query_params.multi_items(), *fields):
            if values.setdefault(name, text) != text:
                both = f"{values[name][:100]!r} and {text[:100]!r}"
                raise RequestError(400, f"{name[:100]} must be the same in query and form. Received: {both}")
        wanted = AnswerFormat.from_query(values)
        wanted.check_outputs(self.segmenter.outputs)
        return wanted

    async def _while_wanted(self, work, request):
        """Runs the work; stops waiting if the client disconnects or time runs out."""
        done = asyncio.ensure_future(self.pool.run(work, self.limits.timeout))
        gone = asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait((done, gone), return_when=asyncio.FIRST_COMPLETED)
            if not done.done():
                raise RequestError(499, "The client disconnected.")
            return done.result()
        except TimeoutError:
            raise RequestError(
                504, f"The response was not ready within {self.limits.timeout:g} seconds."
            ) from None
        finally:
            done.cancel()
            gone.cancel()

    def _segment(self, data, wanted, since):
        """Decodes, segments and encodes, in a worker thread."""
        times = [since, time.perf_counter()]
        image = open_upload(data, self.limits.max_pixels)
        width, height = image.size
        wanted.check_size((width, height), len(self.segmenter.class_names))
        array = decode_upload(image, self.segmenter.channels, self.segmenter.value_range)
        times.append(time.perf_counter())
        try:
            result = wanted.segment(self.segmenter, array)
            times.append(time.perf_counter())
            body, media_type = wanted.encode(self.segmenter, array, result)
        except ValueError:
            raise RequestError(
                422, "The image must fit the channels and value_range of the segmenter, see /info."
            ) from None
        except Exception as error:
            _LOG.error("an image of %dx%d was not segmented: %s", width, height, single_line(error))
            raise RequestError(500, "The image was not segmented; see the log of the service.") from None
        times.append(time.perf_counter())
        return body, media_type, width * height, _server_timing(times)


async def _disconnected(request):
    while (await request.receive())["type"] != "http.disconnect":
        pass


def single_line(error):
    """An exception in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _server_timing(times):
    names = ("queue", "decode", "segment", "encode", "total")
    taken = [*(end - start for start, end in itertools.pairwise(times)), times[-1] - times[0]]
    return ", ".join(f"{name};dur={1e3 * one:.1f}" for name, one in zip(names, taken, strict=True))
