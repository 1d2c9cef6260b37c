"""
Deploying

A trained segmenter becomes one ONNX file that does it all: the normalization of the image, the network,
the resizing, test-time augmentation and a CRF where asked for, softmax and argmax, for images of any size. This
guide writes it in several forms, runs it without Keras, serves it over HTTP, puts it on a page for
browsers, and writes the same segmenter for TensorFlow Serving and for phones.
"""

import io
import pathlib
import subprocess
import sys
import urllib.request
import zipfile

import keras
import numpy as np
from PIL import Image

import keras_wsseg as wsseg
from keras_wsseg import export, losses

keras.utils.set_random_seed(0)
images, labels, class_names = wsseg.data.synthetic_shapes(12, size=64)
segmenter = wsseg.models.UNet(len(class_names), filters=(8, 16))
model = wsseg.WeaklySupervisedModel(segmenter)
model.compile(keras.optimizers.Adam(3e-3), loss=losses.PartialCrossEntropy() + losses.GatedCRFLoss())
model.fit(images.astype("float32"), labels, batch_size=4, epochs=2, verbose=2)

"""
## One file

Its metadata hold class names, colors, value range, method and library version, and it is compared with
Keras when it is written: a file that exceeds the limits is an error and is deleted.
"""

report = export.to_onnx(segmenter, "shapes.onnx", class_names=class_names, input_dtype="uint8")
print(report)

"""
Everything that can be asked for:

- `crf=wsseg.layers.crf_preset("windowed")`, or any `layers.MeanFieldCRF` with a radius: see [A CRF as
  post-processing](crf_behind_the_segmenter.md);
- `tta={"flip": True, "scales": (0.75, 1, 1.25)}`: the mean over six views, six times the work;
- `outputs=("classes", "probabilities")`, or one of them; `input_dtype="uint8"`;
- `size=(480, 640)` where a runtime needs it fixed;
- `tolerance`, `mean_tolerance`, `min_equal_classes`: the limits of the comparison.

What several files have in common is an `ExportOptions`:
"""

options = export.ExportOptions(class_names=class_names, input_dtype="uint8")
print(export.to_onnx(segmenter, "shapes-classes.onnx", options, outputs=("classes",)))

"""

## Smaller files

float16 and int8 are the network's inside alone; normalization, logits, resizing, CRF and softmax stay
float32. float16 is for GPUs, and a CPU turns it back. int8 is calibrated on
images: some of the training set, never those to score on.
"""

small = export.to_onnx(
    segmenter, "shapes-int8.onnx", class_names=class_names, precision="int8", calibration=images[:8]
)
print(small)

"""
## Running it

With numpy and onnxruntime alone: `pip install --no-deps .` is enough beside these two. By itself it takes
CUDA, ROCm, DirectML, CoreML or OpenVINO, in this order, where the installed ONNX Runtime offers one and it
starts, else the CPU.
"""

deployed = export.OnnxSegmenter("shapes.onnx", threads=1)
mask = deployed(images[0])
deployed.save_mask("mask.png", mask)
Image.fromarray(images[0]).save("image.png")
print(deployed.provider_note, "·", deployed("image.png").shape)

"""
A file is read as viewers show it, rotated by its EXIF tag; an array is taken as it is. Images above 2048 × 1024
pixels run in overlapping windows. One segmenter may be called from several threads.

## Over HTTP

`keras-wsseg serve shapes.onnx` is a small service with limits: largest request body, largest image, how
many images at once, how long an answer may take. [The HTTP service](http-service.md) lists paths, limits and what is refused. Here
on a free port, for one request:
"""

command = [sys.executable, "-m", "keras_wsseg.cli", "serve", "shapes.onnx", "--port", "0"]
with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
    try:
        said = (word for line in service.stdout for word in line.split())
        address = next(word for word in said if word.startswith("http://")).rstrip("/")
        headers = {"Content-Type": "image/png"}
        body = pathlib.Path("image.png").read_bytes()
        with urllib.request.urlopen(urllib.request.Request(f"{address}/predict", body, headers)) as answer:
            served = np.array(Image.open(io.BytesIO(answer.read())))
    finally:
        service.terminate()
print("the service gives the same mask:", bool((served == deployed("image.png")).all()))

"""
## On a page

The same file in the browser, with ONNX Runtime Web, on a static page. By default 14 MB of run time are
fetched once from the npm registry and copied beside the page; with `"cdn"` each visitor's browser fetches
them. Images never leave the visitor's machine. [The page for browsers](browser-page.md) says what it reads
and refuses.
"""

page = export.to_web("shapes.onnx", "page", runtime="cdn")
print(page, "· python -m http.server --directory page")

"""
## SavedModel

For TensorFlow Serving, TFX and programs in TensorFlow's C++, Java and Go. Names, colors and range are in
`assets.extra/segmenter.json`.
"""

pathlib.Path("served/shapes").mkdir(parents=True, exist_ok=True)
print(export.to_saved_model(segmenter, "served/shapes/1", class_names=class_names))

"""
## LiteRT

For Android, iOS and small boards (extra `litert`). With a fixed size every segmenter converts; names,
colors and range are in `segmenter.json` inside the file.
"""

print(
    export.to_litert(segmenter, "shapes.tflite", class_names=class_names, size=(64, 64), input_dtype="uint8")
)
with zipfile.ZipFile("shapes.tflite") as archive:
    print(archive.namelist())

"""
## From JAX

A model that was trained with `KERAS_BACKEND=jax` is exported by the same calls. Keras' own export asks for
another converter there, so the conversion runs in a process of its own on TensorFlow, which must be
installed; the comparison is with the JAX model. Layers of your own must be registered with
`keras.saving.register_keras_serializable` in a module that can be imported, so that they load on the other
side.

## Which one to ship

| target | file | call |
|---|---|---|
| a server or desktop in Python, C++, C#, Java, Rust | ONNX | `to_onnx` |
| HTTP | ONNX | `to_onnx`, then `keras-wsseg serve` |
| browser | ONNX and a page | `to_onnx`, then `to_web` |
| TensorFlow Serving, TFX | SavedModel | `to_saved_model` |
| phone, board | LiteRT | `to_litert` |

A file from a stranger is input from a stranger: see [Security](../security.md).
"""
