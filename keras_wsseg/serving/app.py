"""The HTTP routes of the service."""

import time

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import keras_wsseg
from keras_wsseg.serving.answer_format import FORMATS
from keras_wsseg.serving.origins import check_origins
from keras_wsseg.serving.request_error import RequestError
from keras_wsseg.serving.upload_reader import MEDIA_TYPES


def build_app(service, allow_origins=()):
    """The ASGI application of a service.

    Args:
        service: `Service`.
        allow_origins: web origins whose pages may call it from a browser, such as `"https://example.org"`, or
            `"*"` for any; by default none.

    Returns:
        a `starlette.applications.Starlette`.

    Raises:
        ValueError: if one of the origins is invalid.
    """
    check_origins(allow_origins)

    async def health(request):
        return JSONResponse({"status": "alive"})

    async def ready(request):
        if service.stopping:
            return JSONResponse({"status": "stopping"}, 503)
        if service.pool.is_stuck:
            return JSONResponse({"status": "stuck"}, 503)
        return JSONResponse({"status": "ready"})

    async def info(request):
        return JSONResponse(_about(service))

    async def metrics(request):
        page, media_type = service.metrics.page()
        return Response(page, media_type=media_type)

    routes = [
        Route("/", info, name="info"),
        Route("/info", info),
        Route("/health", health),
        Route("/ready", ready),
        Route("/metrics", metrics),
        Route("/predict", service.predict, methods=["POST"]),
    ]
    middleware = [Middleware(_Counted, metrics=service.metrics, paths={route.path for route in routes})]
    if allow_origins:
        cors = {"allow_origins": list(allow_origins), "expose_headers": ["Server-Timing"]}
        middleware.append(Middleware(CORSMiddleware, allow_methods=["GET", "POST"], **cors))
    handlers = {RequestError: _refuse, HTTPException: _refuse_route, Exception: _fail}
    app = Starlette(routes=routes, middleware=middleware, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app


class _Counted:
    """Counts every request by its status, whichever handler responds."""

    def __init__(self, app, metrics, paths):
        self._app = app
        self._metrics = metrics
        self._paths = paths

    async def __call__(self, scope, receive, send):
        # A label for each requested path would let clients exhaust the memory.
        path = scope["path"] if scope["path"] in self._paths else "other"
        predicts = path == "/predict" and scope["method"] == "POST"
        status = 499
        since = time.perf_counter()

        async def counted(message):
            nonlocal status
            status = message.get("status", status)
            await send(message)

        if predicts:
            self._metrics.begin()
        try:
            await self._app(scope, receive, counted)
        except Exception:
            status = 500
            raise
        finally:
            if predicts:
                self._metrics.end(time.perf_counter() - since)
            self._metrics.count_request(path, status)


async def _refuse(request, refusal):
    return JSONResponse({"error": str(refusal)}, refusal.status, refusal.headers)


async def _refuse_route(request, error):
    received = f"{request.method} {request.url.path[:100]}"
    if error.status_code == 405:
        message = f"This path takes {error.headers['Allow']}. Received: {received}"
    else:
        message = f"There is no such path. Received: {received}"
    return JSONResponse({"error": message}, error.status_code, error.headers)


async def _fail(request, error):
    return JSONResponse({"error": "The service failed; see its log."}, 500)


def _about(service):
    segmenter, limits = service.segmenter, service.limits
    return {
        "segmenter": segmenter.path.name,
        "version": keras_wsseg.__version__,
        "class_names": list(segmenter.class_names),
        "palette": segmenter.palette.tolist(),
        "value_range": list(segmenter.value_range),
        "channels": segmenter.channels,
        "metadata": dict(segmenter.metadata),
        "provider": segmenter.provider_note,
        "media_types": list(MEDIA_TYPES),
        "images": "gray and color are converted to the channels, 8 bits scaled to value_range; deeper "
        "images are used unscaled if value_range exceeds 255",
        "formats": [name for name in FORMATS if name != "probabilities" or name in segmenter.outputs],
        "limits": {
            "bytes": limits.max_bytes,
            "pixels": limits.max_pixels,
            "workers": limits.workers,
            "queue": limits.queue,
            "seconds": limits.timeout,
            "seconds_to_send": limits.read_timeout,
        },
    }
