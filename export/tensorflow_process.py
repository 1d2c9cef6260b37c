"""Converts in a separate process that runs Keras on TensorFlow, for segmenters of any other backend."""

import dataclasses
import importlib
import importlib.util
import json
import os
import pathlib
import subprocess
import sys

from keras_wsseg.export.crf import as_model
from keras_wsseg.export.deployment import Deployment, GraphForm
from keras_wsseg.export.source import ImageShape, all_layers, first_line


def convert_in_subprocess(kind, deployment, form, path, **options):
    """Runs a function of `conversion` in a subprocess, where Keras does not run on TensorFlow.

    The segmenter and the CRF after it are passed as `.keras` files next to `path`; the subprocess imports the
    modules that define their layers, so that registered custom layers load.

    Args:
        kind: name of the function in `conversion`.
        deployment: `Deployment` in float32.
        form: `GraphForm`.
        path: file or folder to write, in a folder that the caller cleans up.
        **options: further arguments of that function.

    Raises:
        ValueError: if the segmenter does not load there, or an operation has no counterpart.
    """
    path = pathlib.Path(path)
    models = {"segmenter": deployment.segmenter}
    if deployment.crf is not None:
        models["crf"] = as_model(deployment.crf)
    modules = set()
    for name, model in models.items():
        model.save(path.with_name(f"{name}.keras"))
        modules |= {type(layer).__module__ for layer in (model, *all_layers(model))}
    job = {
        "kind": kind,
        "models": {name: str(path.with_name(f"{name}.keras")) for name in models},
        "head": {name: getattr(deployment, name) for name in ("resize", "probabilities", "flip", "scales")},
        "form": dataclasses.asdict(form),
        "path": str(path),
        "options": options,
        "modules": sorted(name for name in modules if name.split(".")[0] not in ("keras", "__main__")),
    }
    environment = {
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # The other framework may occupy all GPU memory, and tracing needs none.
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
        lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or ["nothing"]
        raise ValueError(lines[-1])


def main():
    """Reads a job from standard input and runs it; a failure is one line on standard output."""
    job = json.load(sys.stdin)
    try:
        for name in ("keras_wsseg.layers", "keras_wsseg.models", *job["modules"]):
            # A missing module matters only if a layer needs it, and then loading fails below.
            if importlib.util.find_spec(name.split(".")[0]):
                importlib.import_module(name)
        from keras_wsseg.export import conversion

        deployment, form = _unpack(job)
        getattr(conversion, job["kind"])(deployment, form, path=job["path"], **job["options"])
    except ValueError as error:
        print(first_line(error))
        return 1
    return 0


def _unpack(job):
    models = {name: _load(path) for name, path in job["models"].items()}
    deployment = Deployment(models["segmenter"], crf=models.get("crf"), **job["head"])
    shape = ImageShape(**job["form"].pop("shape"))
    return deployment, GraphForm(shape, **job["form"])


def _load(path):
    import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=False)
    except Exception as error:
        # Keras surrounds the reason with the configurations of the model and of the layer.
        reason = str(error).rpartition("Exception encountered: ")[2].partition(" Full object config")[0]
        raise ValueError(
            "`segmenter` must load under KERAS_BACKEND=tensorflow to be exported: register its custom layers "
            "with keras.saving.register_keras_serializable in an importable module. "
            f"Received: {type(error).__name__}: {first_line(reason)}"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
