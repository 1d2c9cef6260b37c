"""Converts in a process of its own that runs Keras on TensorFlow, for segmenters of any other backend."""

import importlib
import importlib.util
import json
import os
import pathlib
import subprocess
import sys

from keras_wsseg.export.source import PictureShape, all_layers, first_line


def convert_elsewhere(segmenter, shape, opset, resize, byte_classes, path):
    """Does what `conversion.convert` does, wherever Keras does not run on TensorFlow.

    The segmenter travels as a `.keras` file next to `path`; modules that define its layers are imported on
    the other side, so that registered custom layers load.

    Args:
        segmenter: `keras.Model` in float32.
        shape: `PictureShape`.
        opset: version of the ONNX operators.
        resize: whether logits must be brought to the size of the picture.
        byte_classes: whether the class map is uint8 rather than int32.
        path: file to write, in a folder that the caller empties.

    Raises:
        ValueError: if the segmenter does not load there, or an operation has no counterpart in ONNX.
    """
    path = pathlib.Path(path)
    saved = path.with_suffix(".keras")
    segmenter.save(saved)
    modules = {type(layer).__module__ for layer in (segmenter, *all_layers(segmenter))}
    job = {
        "segmenter": str(saved),
        "shape": [shape.batch, shape.height, shape.width, shape.channels],
        "opset": opset,
        "resize": resize,
        "byte_classes": byte_classes,
        "path": str(path),
        "modules": sorted(name for name in modules if name.split(".")[0] not in ("keras", "__main__")),
    }
    environment = {
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # The other framework may hold all of the GPU's memory, and tracing needs none.
        "CUDA_VISIBLE_DEVICES": "-1",
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
    }
    done = subprocess.run(
        [sys.executable, "-m", "keras_wsseg.export.tensorflow_process"],
        input=json.dumps(job),
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        said = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or ["nothing"]
        raise ValueError(said[-1])


def main():
    """Reads a job from standard input and does it; a failure is one line on standard output."""
    job = json.load(sys.stdin)
    try:
        for name in ("keras_wsseg.layers", "keras_wsseg.models", *job["modules"]):
            # A module that is gone matters only if a layer needs it, and loading says so below.
            if importlib.util.find_spec(name.split(".")[0]):
                importlib.import_module(name)
        segmenter = _load(job["segmenter"])
        from keras_wsseg.export.conversion import convert

        shape = PictureShape(*job["shape"])
        convert(segmenter, shape, job["opset"], job["resize"], job["byte_classes"], job["path"])
    except ValueError as error:
        print(first_line(error))
        return 1
    return 0


def _load(path):
    import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=False)
    except Exception as error:
        # Keras wraps the reason into the configurations of the model and of the layer.
        reason = str(error).rpartition("Exception encountered: ")[2].partition(" Full object config")[0]
        raise ValueError(
            "`segmenter` must load under KERAS_BACKEND=tensorflow to be exported: register its own layers "
            "with keras.saving.register_keras_serializable in an importable module. "
            f"Received: {type(error).__name__}: {first_line(reason)}"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
