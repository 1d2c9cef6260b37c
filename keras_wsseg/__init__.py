"""Weakly supervised semantic segmentation for Keras 3: regularized losses in, an ONNX segmenter out."""

import importlib

__version__ = "0.2.0"

_ROOMS = (
    "annotations",
    "callbacks",
    "data",
    "export",
    "kernels",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "targets",
    "training",
    "visualization",
)

__all__ = ["WeaklySupervisedModel", "__version__", *_ROOMS]


def __getattr__(name):
    # Rooms load on first use: inference with `keras_wsseg.export` must not pay for Keras, nor need it.
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "WeaklySupervisedModel":
        return importlib.import_module(f"{__name__}.models").WeaklySupervisedModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
