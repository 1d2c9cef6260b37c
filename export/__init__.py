"""Exports trained segmenters, and runs the exported ONNX files without Keras or TensorFlow.

`to_onnx` writes an ONNX file and compares its output with Keras's, `to_saved_model` and `to_litert` do the
same for other runtimes, and `to_web` writes a web page that runs the file; `OnnxSegmenter` runs it with NumPy
and ONNX Runtime alone. All are imported on first use, so that a deployment loads only the half it needs.
"""

import importlib

if __name__ != "keras_wsseg.export":
    # Two names for one folder would define every class twice, and no library should claim a top-level
    # `export`.
    raise ImportError(f"This package is imported as `keras_wsseg.export` only. Received: {__name__}")

_HOMES = {
    "ExportOptions": "options",
    "ExportReport": "export_report",
    "OnnxSegmenter": "onnx_segmenter",
    "to_litert": "litert_writer",
    "to_onnx": "onnx_writer",
    "to_saved_model": "saved_model_writer",
    "to_web": "web_page",
}

__all__ = sorted(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__():
    return list(__all__)
