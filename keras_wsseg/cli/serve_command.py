"""`keras-wsseg serve`."""

import dataclasses
import inspect
import os
import pathlib
import sys

from keras_wsseg.cli.options import add_command, shown
from keras_wsseg.cli.run_time import add_provider
from keras_wsseg.cli.segmenters import check_channels
from keras_wsseg.serving.limits import ServiceLimits
from keras_wsseg.training.signatures import argument_helps

_DESCRIPTION = """
Answers images sent over HTTP with their masks until it is stopped by Ctrl-C or SIGTERM, when it finishes
what it has in hand. It needs an .onnx file of `keras-wsseg export`, and the packages of the extra [serve].

  POST /predict   body: an image (PNG, JPEG, WebP, TIFF, BMP), or a form with one file; gray and color are
                  brought to what the segmenter takes, and 8 bits scaled to its value range; deeper images
                  are taken as they are where that range goes beyond 255
       ?format=mask            PNG of class numbers in the colors of the classes (default)
       ?format=overlay         PNG of the image under these colors; &alpha=0.3 for their opacity
       ?format=rgba            PNG of the colors alone, to lay over the image; &alpha= too
       ?format=probabilities   NumPy file, float32 (height, width, classes)
       ?format=json            pixels of each class
  GET  /info      classes, colors, limits     /metrics for Prometheus
  GET  /health    200 as long as it runs       /ready   503 while it stops, or while every worker is held by
                  an image that came to its --timeout
"""

_EXAMPLE = """
keras-wsseg serve hearts.onnx
curl --data-binary @scan.png -H 'Content-Type: image/png' localhost:8000/predict -o mask.png
"""

_LIMITS = {field.name: field for field in dataclasses.fields(ServiceLimits)}
_PACKAGES = ("starlette", "uvicorn", "h11", "prometheus_client", "python_multipart", "anyio")


def add_to(commands):
    """Adds the command."""
    parser = add_command(commands, "serve", "answer images over HTTP with masks", _DESCRIPTION, _EXAMPLE)
    parser.add_argument("segmenter", metavar="SEGMENTER.onnx", help="file of `keras-wsseg export`")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine alone)"
    )
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="0 for any (default: 8000)")
    parser.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="URL",
        help="web origin whose pages may call the service, such as https://example.org, or '*'; can be "
        "repeated (default: none)",
    )
    add_provider(parser)
    parser.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="CPU threads for one image (default: the cores that the other workers leave)",
    )
    group = parser.add_argument_group("limits")
    helps = argument_helps(inspect.getdoc(ServiceLimits))
    for name, field in _LIMITS.items():
        default = min(field.default, _cores()) if name == "workers" else field.default
        group.add_argument(
            f"--{name.replace('_', '-')}",
            type=field.type,
            default=default,
            metavar="N" if field.type is int else "S",
            help=f"{helps[name].rstrip('.')} (default: {shown(default)})",
        )
    parser.set_defaults(run=run)


def run(arguments):
    """Serves; the status is 1 where requests had to be given up at the end."""
    if pathlib.Path(arguments.segmenter).suffix.lower() != ".onnx":
        raise ValueError(
            "A segmenter to serve must be an .onnx file of `keras-wsseg export`. "
            f"Received: {arguments.segmenter!r}"
        )
    _check_packages()
    from keras_wsseg.export import OnnxSegmenter
    from keras_wsseg.serving.origins import check_origins
    from keras_wsseg.serving.server import serve
    from keras_wsseg.serving.service import Service

    limits = ServiceLimits(**{name: getattr(arguments, name) for name in _LIMITS})
    check_origins(arguments.allow_origin)
    # The workers share the threads of one session, and each brings its own.
    spare = max(1, _cores() - limits.workers + 1)
    segmenter = OnnxSegmenter(
        arguments.segmenter,
        providers=None if arguments.provider is None else [arguments.provider],
        threads=spare if arguments.threads is None else arguments.threads,
    )
    check_channels(segmenter)
    service = Service(segmenter, limits)
    all_answered = serve(service, arguments.host, arguments.port, arguments.allow_origin, _say)
    if service.pool.running:
        # Python would wait for the threads, however long what they were left with takes.
        sys.stderr.flush()
        os._exit(0 if all_answered else 1)
    return 0 if all_answered else 1


def _check_packages():
    try:
        import keras_wsseg.serving.server  # noqa: F401
    except ImportError as error:
        if (error.name or "").split(".")[0] not in _PACKAGES:
            raise
        raise ImportError(
            f"`serve` needs further packages: pip install 'keras-wsseg[serve]'. Received: no {error.name}"
        ) from error


def _say(line):
    # Who starts a service often reads its lines through a pipe, and waits for the first.
    print(line, flush=True)


def _cores():
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
