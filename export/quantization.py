"""Quantizes to int8 by ONNX Runtime's static quantization, calibrated on real images."""

import contextlib
import logging
import pathlib
import tempfile

import onnx
from onnxruntime import quantization

from keras_wsseg.export.network_nodes import NEEDS_LAYERS, network_nodes
from keras_wsseg.export.source import first_line


def to_int8(path, images):
    """Quantizes the network inside a file; normalization, logits and all that follows stay float32.

    Weights become int8 with a scale for each channel, activations uint8 with the range observed on the
    images.

    Args:
        path: ONNX file in float32, replaced.
        images: list of `(batch, height, width, channels)` arrays of the input's type.

    Raises:
        ValueError: if the graph has no layers to quantize, or ONNX Runtime cannot.
    """
    path = pathlib.Path(path)
    model = onnx.load(path)
    nodes = [model.graph.node[index].name for index in sorted(network_nodes(model.graph))]
    if not nodes:
        raise ValueError(f'`precision="int8"` {NEEDS_LAYERS}')
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        prepared, made = pathlib.Path(folder) / "prepared.onnx", pathlib.Path(folder) / "int8.onnx"
        onnx.save(onnx.shape_inference.infer_shapes(model), prepared)
        try:
            with _suppressed_logs():
                quantization.quantize_static(
                    str(prepared),
                    str(made),
                    _Images(images),
                    quant_format=quantization.QuantFormat.QDQ,
                    per_channel=True,
                    activation_type=quantization.QuantType.QUInt8,
                    weight_type=quantization.QuantType.QInt8,
                    nodes_to_quantize=nodes,
                )
        except Exception as error:
            raise ValueError(
                "`segmenter` cannot be quantized to int8. "
                f"Received: {type(error).__name__}: {first_line(error)}"
            ) from error
        made.replace(path)


class _Images(quantization.CalibrationDataReader):
    def __init__(self, images):
        self.images = iter(images)

    def get_next(self):
        image = next(self.images, None)
        return None if image is None else {"image": image}


@contextlib.contextmanager
def _suppressed_logs():
    """ONNX Runtime advises on the root logger to preprocess the model, which has been done."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
