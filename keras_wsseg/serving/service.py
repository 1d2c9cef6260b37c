"""A segmenter behind its queue: what becomes of an image that somebody sends."""

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
    """Answers requests for masks, within limits.

    Args:
        segmenter: `OnnxSegmenter`; its calls come from several threads.
        limits: `ServiceLimits`.

    Attributes:
        pool: its `WorkerPool`.
        uploads: its `UploadReader`.
        metrics: its `ServiceMetrics`.
        stopping: set to True when no new work shall be taken on.
    """

    def __init__(self, segmenter, limits):
        self.segmenter = segmenter
        self.limits = limits
        self.pool = WorkerPool(limits.workers, limits.queue)
        self.metrics = ServiceMetrics(self.pool)
        self.stopping = False
        self.uploads = UploadReader(limits, self.metrics.count_refused)
        self._in_hand = set()
        self._given_up = False

    def give_up(self):
        """Ends all requests in hand with a 503."""
        self.stopping = self._given_up = True
        for task in self._in_hand:
            task.cancel()

    async def predict(self, request):
        """Answers `POST /predict`.

        Args:
            request: a Starlette `Request`.

        Returns:
            the answer.

        Raises:
            RequestError: if there is to be none.
        """
        if self.stopping:
            raise busy("The service is stopping.")
        if not is_form(request):
            # Before the body has come.
            self._wanted(request)
        if self.pool.is_full:
            raise busy("The service has as much to do as it takes on: try again later.")
        task = asyncio.current_task()
        self._in_hand.add(task)
        try:
            return await self._answer(request)
        except asyncio.CancelledError:
            if not self._given_up:
                raise
            task.uncancel()
            raise busy("The service is stopping.") from None
        finally:
            self._in_hand.discard(task)

    async def _answer(self, request):
        async with self.uploads.read(request) as (data, fields):
            wanted = self._wanted(request, fields)
            work = functools.partial(self._segment, data, wanted, time.perf_counter())
            body, media_type, pixels, timing = await self._while_wanted(work, request)
        self.metrics.add_image(pixels)
        return Response(body, media_type=media_type, headers={"Server-Timing": timing})

    def _wanted(self, request, fields=()):
        """What the query and the fields of a form ask for."""
        asked = {}
        for name, text in (*request.query_params.multi_items(), *fields):
            if asked.setdefault(name, text) != text:
                both = f"{asked[name][:100]!r} and {text[:100]!r}"
                raise RequestError(
                    400, f"{name[:100]} must be the same wherever query and form say it. Received: {both}"
                )
        wanted = AnswerFormat.from_query(asked)
        wanted.check_outputs(self.segmenter.outputs)
        return wanted

    async def _while_wanted(self, work, request):
        """The result of the work, as long as somebody waits for it and there is time."""
        done = asyncio.ensure_future(self.pool.run(work, self.limits.timeout))
        gone = asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait((done, gone), return_when=asyncio.FIRST_COMPLETED)
            if not done.done():
                raise RequestError(499, "The client went away.")
            return done.result()
        except TimeoutError:
            raise RequestError(
                504, f"The answer was not ready within {self.limits.timeout:g} seconds."
            ) from None
        finally:
            done.cancel()
            gone.cancel()

    def _segment(self, data, wanted, since):
        """Decoding, segmenting and encoding, in a thread."""
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
                422, "The image must fit the segmenter, of which /info tells channels and value_range."
            ) from None
        except Exception as error:
            _LOG.error("an image of %dx%d was not segmented: %s", width, height, single_line(error))
            raise RequestError(500, "The image was not segmented; the log of the service says why.") from None
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
