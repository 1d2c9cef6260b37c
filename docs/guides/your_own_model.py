"""
Your own model and pipeline

The losses work with any `keras.Model` from an image `(batch, height, width, channels)` to one prediction
`(batch, height, width, classes)`, and with any pipeline that yields images and label maps. This guide
brings both: a softmax model in the manner of keras.io, a pipeline of `tf.data`, an image with a depth
channel, and finally a plain `keras.Model` without the wrapper.
"""

import keras
import numpy as np
import tensorflow as tf

import keras_wsseg as wsseg
from keras_wsseg import kernels, losses, metrics, targets

keras.utils.set_random_seed(0)
images, dense, class_names = wsseg.data.synthetic_shapes(16, size=64)
labels = np.stack([wsseg.annotations.simulate_scribbles(one, seed=i) for i, one in enumerate(dense)])

"""
## Any model

Logits, a softmax over the classes, one channel of log-odds, or its sigmoid: the last layers tell which, and
losses, metrics, callbacks and exports get what they ask for. The prediction may be coarser than the
image. Your model normalizes its input itself, here by `Rescaling`, so that the exported file needs no
preprocessing.
"""


def my_model(num_classes):
    image = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(x)
    x = keras.layers.Conv2D(16, 3, padding="same", activation="relu")(x)
    x = keras.layers.Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu")(x)
    return keras.Model(image, keras.layers.Conv2D(num_classes, 1, activation="softmax")(x))


segmenter = my_model(len(class_names))

"""
## Any pipeline

`(image, labels)`: images as they are, in `value_range`; labels `(batch, height, width)` with 255 where
nobody has annotated. [Keep 255 and 254 out of every interpolation](labels_255_and_254.md): crop and flip
label maps, and resize them by nearest neighbor at most.
"""


def augment(image, label):
    together = tf.concat([tf.cast(image, tf.int32), tf.cast(label, tf.int32)[..., None]], axis=-1)
    together = tf.image.random_flip_left_right(tf.image.random_crop(together, (48, 48, 4)))
    return tf.cast(together[..., :3], tf.float32), together[..., 3]


pipeline = tf.data.Dataset.from_tensor_slices((images, labels)).map(augment).batch(4)

model = wsseg.WeaklySupervisedModel(segmenter, value_range=(0, 255))
model.compile(
    keras.optimizers.Adam(3e-3),
    loss=losses.PartialCrossEntropy() + losses.GatedCRFLoss(),
    metrics=[metrics.MeanIoU(len(class_names))],
)
model.fit(pipeline, epochs=1, verbose=2)

"""
A Keras loss sees `y_true` and `y_pred` only, so `WeaklySupervisedModel` hands the losses a `targets.Targets`
as `y_true`: the labels, the image scaled to [0, 1] by `value_range`, and tags where there are any.
`targets.read(y_true)` gives it in a [loss of your own](choosing_a_loss.md#a-loss-of-your-own). `predict`
returns what your model returns:
"""

print("sums of the probabilities:", np.ptp(segmenter.predict(images[:2], verbose=0).sum(-1)).round(4))

"""
If your images are in memory, `data.SegmentationArrays` gives crops, scales, flips and padding that treat
255 and 254 right, with one seed for all:
"""

data = wsseg.data.SegmentationArrays(images, labels, class_names=class_names)
image, label = next(iter(data.train(batch_size=2, image_size=48, color_jitter=0.2)))
print(image.shape, label.shape)

"""
## More inputs: depth beside the image

With a dict of inputs, the key `image` is the modality `rgb` of a kernel, and every other input of rank 4
keeps its name. `value_range` says how an input is scaled; an input without a range is taken as it is.
"""

rgb, depth = keras.Input((None, None, 3), name="image"), keras.Input((None, None, 1), name="depth")
x = keras.layers.Concatenate()([keras.layers.Rescaling(1 / 255)(rgb), depth])
x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(x)
with_depth = keras.Model({"image": rgb, "depth": depth}, keras.layers.Conv2D(len(class_names), 1)(x))

kernel = kernels.GaussianKernel(sigma_xy=12, sigma_rgb=0.03, sigma_depth=0.05)
both = wsseg.WeaklySupervisedModel(with_depth, value_range={"image": (0, 255)})
both.compile("adam", loss=losses.PartialCrossEntropy() + losses.GatedCRFLoss(kernels=kernel))
inputs = {"image": images.astype("float32"), "depth": np.random.default_rng(0).random((16, 64, 64, 1))}
both.fit(inputs, labels, batch_size=4, epochs=1, verbose=2)

"""
Such a model trains; the exports take segmenters with one input.

## Without the wrapper

A plain `keras.Model` lets a loss have one tensor alone, and uses the same losses when its pipeline packs
labels and image into it by `targets.pack`; `targets.read` reads both forms. What the
wrapper does beyond that is then yours: the check of the image's range, the terms in the logs, and
callbacks that change a weight while the training runs, on JAX.
"""


def pack(image, label):
    return image, targets.pack(label[None], image[None] / 255)[0]


plain = my_model(len(class_names))
plain.compile(
    "adam", loss=losses.PartialCrossEntropy(from_logits=False) + losses.GatedCRFLoss(from_logits=False)
)
plain.fit(pipeline.unbatch().map(pack).batch(4), epochs=1, verbose=2)

"""
## Export

Like any segmenter here. Layers of your own must be registered and importable to be loaded again.
"""

print(wsseg.export.to_onnx(segmenter, "mine.onnx", class_names=class_names))

"""
[Thirty models of the kinds that people bring](../brought-models.md) are tested from training to every kind
of file; the table says what does not work and why. A sigmoid of several channels, `channels_first`, and several
predictions are refused with a sentence that says what to do.

## JAX

Everything but the exports runs with `KERAS_BACKEND=jax`, and the exports go through a TensorFlow process:
see [Deploying](deploying.md).
"""
