"""From a trained segmenter to one ONNX file, and from that file to masks without Keras or TensorFlow.

`to_onnx` writes the file and compares it with Keras on the spot, `to_saved_model` and `to_litert` do so for
other run times, and `to_web` puts the file on a page; `OnnxSegmenter` runs it with numpy and onnxruntime
alone. All load on first use, so that a deployment never pays for the half it does not need.
"""

import importlib

if __name__ != "keras_wsseg.export":
    # Two names for one folder would load every class twice, and a top-level `export` is nobody's to take.
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
