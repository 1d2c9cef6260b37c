"""
A CRF as post-processing

`layers.MeanFieldCRF` moves the borders of a prediction to those of the image by mean-field inference
(Krähenbühl & Koltun 2011). It serves as post-processing of finished logits, inside an exported file, or as
a last layer that is trained through (CRF as RNN). This guide does all three.
"""

import keras
import numpy as np

import keras_wsseg as wsseg
from keras_wsseg import layers, losses

keras.utils.set_random_seed(0)
images, labels, class_names = wsseg.data.synthetic_shapes(16, size=64)
inputs = images.astype("float32")
segmenter = wsseg.models.UNet(len(class_names), filters=(8, 16))
model = wsseg.WeaklySupervisedModel(segmenter)
model.compile(keras.optimizers.Adam(3e-3), loss=losses.PartialCrossEntropy())
model.fit(inputs, labels, batch_size=8, epochs=2, verbose=2)

"""
## Windowed or dense

`crf_preset("windowed")` looks at the 11 × 11 pixels around each pixel: exact, fast, and it exports to ONNX
for images of any size. `crf_preset("dense")` looks at all pixels, as published, and runs in Keras only.
Both take logits and image, and give logits.
"""

windowed = layers.crf_preset("windowed")
logits = segmenter(inputs[:4], training=False)
refined = windowed([logits, inputs[:4]])
changed = np.mean(np.argmax(logits, -1) != np.argmax(refined, -1))
print(f"the windowed CRF changes the class of {changed:.1%} of the pixels")

dense = layers.crf_preset("dense")
print("dense:", dense([logits, inputs[:4]]).shape)

"""
A CRF repairs poor masks and can spoil good ones, where parts look alike: score both before you ship one. On the command line that is `keras-wsseg evaluate RUN DATA --crf windowed`.

## Inside the exported file

`crf=` puts the CRF behind the segmenter, in the same graph.
"""

report = wsseg.export.to_onnx(segmenter, "refined.onnx", class_names=class_names, crf=windowed)
print(report)
mask = wsseg.export.OnnxSegmenter("refined.onnx")(images[0])

"""
The windowed CRF costs several times the net, and memory: [figures](../results/speed.md).

## Trained through

As the last layer of a model its kernel weights and its compatibility can be trained. Gradients reach the
logits through all steps.
"""

crf = layers.MeanFieldCRF(radius=3, iterations=3, compatibility="trainable", train_kernel_weights=True)
with_crf = keras.Model(segmenter.input, crf([segmenter.output, segmenter.input]))
end_to_end = wsseg.WeaklySupervisedModel(with_crf)
end_to_end.compile(keras.optimizers.Adam(1e-3), loss=losses.PartialCrossEntropy())
end_to_end.fit(inputs, labels, batch_size=8, epochs=1, verbose=2)
print("weights of the CRF that are trained:", [weight.name for weight in crf.trainable_weights])

"""
## Kernels of your own

A list of `GaussianKernel` replaces the two of the preset; `sigma_xy` is in pixels of the image, `sigma_rgb` in
units of an image in [0, 1]. `value_range` says what black and white are, as for every layer that looks at the image.
"""

kernels = [
    wsseg.kernels.GaussianKernel(weight=1.0, sigma_xy=3.0),
    wsseg.kernels.GaussianKernel(weight=3.0, sigma_xy=6.0, sigma_rgb=0.05),
]
own = layers.MeanFieldCRF(radius=5, kernels=kernels, iterations=5)
print(own([logits, inputs[:4]]).shape)

"""
The update rule and what departs from the paper are in [Mean-field CRF](../method/mean-field.md).
"""
