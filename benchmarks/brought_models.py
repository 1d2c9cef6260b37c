"""User-supplied kinds of models, from training to every export format: the table of docs/brought-models.md.

    python benchmarks/brought_models.py                    all of it, Markdown, about ten minutes on two cores
    python benchmarks/brought_models.py "U-Net" "FPN"      rows whose names contain one of the strings

Small models in the style of segmentation_models, keras-hub, the examples of keras.io and the tutorials of
TensorFlow. Each is compiled with `PartialCrossEntropy() + GatedCRFLoss()` and evaluated in these columns,
which are independent of each other once the first has passed:

    trains       two steps; every loss is finite and the weights have changed
    loss         the cross entropy is that of the model's probabilities, computed in NumPy
    loaded       saved and loaded as `.keras`, it predicts the same
    other size   evaluated on images of another size
    ONNX, SavedModel, LiteRT
                 written with the library's verification, and read back: the probabilities are the model's

A cell is a check mark, or the number of a footnote with the reason.
"""

import argparse
import dataclasses
import os
import pathlib
import re
import sys
import tempfile
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from keras_wsseg import WeaklySupervisedModel, export
from keras_wsseg.losses import GatedCRFLoss, PartialCrossEntropy

CLASSES = 3
RIGHT = "✓"
register = keras.saving.register_keras_serializable("brought_models")


@dataclasses.dataclass(frozen=True)
class Row:
    """A model and how it is used.

    Args:
        build: function without arguments that builds it.
        size: `(height, width)` of the images that it is trained on.
        other: of those on which it is evaluated afterwards, loaded and exported.
        fixed: whether its input says `size`, so that it is loaded and exported for that alone.
        last: what it gives: "logits", or "softmax" or "sigmoid" probabilities.
        classes: how many it tells apart; of two it gives one channel.
        value_range: of the images.
        depth: whether it takes a dict of image and depth.
        policy: name of the dtype policy under which it is built and trained.
    """

    build: Callable
    size: tuple = (32, 32)
    other: tuple = (40, 56)
    fixed: bool = False
    last: str = "logits"
    classes: int = CLASSES
    value_range: tuple = (0, 255)
    depth: bool = False
    policy: str = "float32"


def image_input(size=(None, None)):
    return keras.Input((*size, 3), name="image")


def scaled(x):
    return layers.Rescaling(1 / 127.5, offset=-1)(x)


def conv_bn(x, filters, size=3, **options):
    x = layers.Conv2D(filters, size, padding="same", use_bias=False, **options)(x)
    return layers.Activation("relu")(layers.BatchNormalization()(x))


def pyramid(x, filters=(8, 12, 16)):
    """Features at strides 1, 2, 4, … as an encoder gives them."""
    found = []
    for index, count in enumerate(filters):
        if index:
            x = layers.MaxPooling2D()(x)
        x = conv_bn(x, count)
        found.append(x)
    return found


def head(x, last="logits", classes=CLASSES):
    x = layers.Conv2D(classes, 3, padding="same", name="head")(x)
    return x if last == "logits" else layers.Activation(last, dtype="float32", name="probabilities")(x)


def xception_unet():
    """keras.io, "Image segmentation with a U-Net-like architecture"."""
    image = image_input()
    x = layers.Conv2D(8, 3, strides=2, padding="same")(scaled(image))
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    previous = x
    for filters in (12, 16):
        for _ in range(2):
            x = layers.Activation("relu")(x)
            x = layers.BatchNormalization()(layers.SeparableConv2D(filters, 3, padding="same")(x))
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        residual = layers.Conv2D(filters, 1, strides=2, padding="same")(previous)
        previous = x = layers.add([x, residual])
    for filters in (16, 12, 8):
        for _ in range(2):
            x = layers.Activation("relu")(x)
            x = layers.BatchNormalization()(layers.Conv2DTranspose(filters, 3, padding="same")(x))
        x = layers.UpSampling2D(2)(x)
        residual = layers.Conv2D(filters, 1, padding="same")(layers.UpSampling2D(2)(previous))
        previous = x = layers.add([x, residual])
    return keras.Model(image, layers.Conv2D(CLASSES, 3, activation="softmax", padding="same")(x))


def pix2pix_unet():
    """TensorFlow's tutorial "Image segmentation": transposed convolutions, images in [0, 1]."""
    base = keras.applications.MobileNetV2(
        input_shape=(64, 64, 3), include_top=False, weights=None, alpha=0.35
    )
    names = ("block_1_expand_relu", "block_3_expand_relu", "block_6_expand_relu", "block_13_expand_relu")
    down = keras.Model(base.input, [base.get_layer(name).output for name in (*names, "block_16_project")])
    image = image_input((64, 64))
    *skips, x = down(image)
    for filters, skip in zip((24, 16, 12, 8), reversed(skips), strict=True):
        up = [layers.Conv2DTranspose(filters, 3, strides=2, padding="same", use_bias=False)]
        up += [layers.BatchNormalization(), layers.Dropout(0.5), layers.ReLU()]
        x = layers.Concatenate()([keras.Sequential(up)(x), skip])
    return keras.Model(image, layers.Conv2DTranspose(CLASSES, 3, strides=2, padding="same")(x))


def keras_io_deeplab():
    """keras.io, "Multiclass semantic segmentation using DeepLabV3+", on a small encoder."""
    image = image_input((64, 64))
    features = pyramid(scaled(image), (8, 8, 12, 16, 16))
    x = features[-1]
    pooled = layers.AveragePooling2D(x.shape[1:3])(x)
    pooled = conv_bn(pooled, 8, 1)
    pooled = layers.UpSampling2D((x.shape[1] // pooled.shape[1],) * 2, interpolation="bilinear")(pooled)
    branches = [pooled] + [conv_bn(x, 8, 1 if rate == 1 else 3, dilation_rate=rate) for rate in (1, 6, 12)]
    x = conv_bn(layers.Concatenate()(branches), 8, 1)
    x = layers.UpSampling2D(4, interpolation="bilinear")(x)
    x = conv_bn(layers.Concatenate()([x, conv_bn(features[2], 4, 1)]), 8)
    x = layers.UpSampling2D(4, interpolation="bilinear")(x)
    return keras.Model(image, head(x))


def sm_unet():
    """segmentation_models' Unet with its default activation."""
    image = image_input()
    *skips, x = pyramid(scaled(image))
    for skip in reversed(skips):
        x = layers.Concatenate()([layers.UpSampling2D(2)(x), skip])
        x = conv_bn(conv_bn(x, 8), 8)
    return keras.Model(image, head(x, "softmax"))


def sm_fpn(activation="softmax"):
    """segmentation_models' FPN, whose last step is bilinear."""
    image = image_input()
    features = pyramid(scaled(image), (8, 8, 12, 16))
    x, levels = None, []
    for feature in reversed(features[1:]):
        lateral = layers.Conv2D(8, 1)(feature)
        x = lateral if x is None else layers.Add()([layers.UpSampling2D(2)(x), lateral])
        levels.append(conv_bn(x, 8))
    levels = [layers.UpSampling2D(2 ** (2 - n))(level) if n < 2 else level for n, level in enumerate(levels)]
    x = layers.SpatialDropout2D(0.2)(layers.Concatenate()(levels))
    x = layers.Conv2D(CLASSES, 3, padding="same")(conv_bn(x, 8))
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    return keras.Model(image, layers.Activation(activation)(x))


def sm_linknet():
    """segmentation_models' Linknet with transposed convolutions."""
    image = image_input()
    *skips, x = pyramid(scaled(image))
    for skip in reversed(skips):
        x = conv_bn(x, 4, 1)
        x = layers.Conv2DTranspose(4, 4, strides=2, padding="same", use_bias=False)(x)
        x = layers.Activation("relu")(layers.BatchNormalization()(x))
        x = layers.Add()([conv_bn(x, skip.shape[-1], 1), skip])
    return keras.Model(image, head(x))


def sm_pspnet():
    """segmentation_models' PSPNet, whose pyramid wants one size."""
    image = image_input((48, 48))
    x = pyramid(scaled(image), (8, 8, 12, 16))[-1]
    levels = [x]
    for bins in (1, 2, 3, 6):
        pooled = conv_bn(layers.AveragePooling2D(6 // bins)(x), 4, 1)
        levels.append(layers.UpSampling2D(6 // bins, interpolation="bilinear")(pooled))
    x = layers.Dropout(0.1)(conv_bn(layers.Concatenate()(levels), 8, 1))
    x = layers.UpSampling2D(8, interpolation="bilinear")(layers.Conv2D(CLASSES, 3, padding="same")(x))
    return keras.Model(image, layers.Activation("softmax")(x))


def small_unet(last="logits", classes=CLASSES, start=scaled, size=(None, None)):
    image = image_input(size)
    *skips, x = pyramid(start(image))
    for skip in reversed(skips):
        x = conv_bn(layers.Concatenate()([layers.Conv2DTranspose(8, 2, strides=2)(x), skip]), 8)
    return keras.Model(image, head(x, last, classes))


def normalization_unet():
    first = layers.Normalization()
    first.adapt(np.random.default_rng(0).uniform(0, 255, (4, 16, 16, 3)).astype("float32"))
    return small_unet(start=first)


def attention_unet():
    """Oktay et al. 2018: gates on the skips."""
    image = image_input()
    *skips, x = pyramid(scaled(image))
    for skip in reversed(skips):
        gate = layers.Add()([layers.Conv2D(8, 1, strides=2)(skip), layers.Conv2D(8, 1)(x)])
        gate = layers.Conv2D(1, 1, activation="sigmoid")(layers.Activation("relu")(gate))
        skip = layers.Multiply()([skip, layers.UpSampling2D(2)(gate)])
        x = conv_bn(layers.Concatenate()([layers.UpSampling2D(2)(x), skip]), 8)
    return keras.Model(image, head(x))


@register
class SelfAttention(layers.Layer):
    """A transformer block over the pixels of features of any size."""

    def __init__(self, dim, heads=2, reduction=1, **kwargs):
        super().__init__(**kwargs)
        self.dim, self.heads, self.reduction = dim, heads, reduction
        self.norm1, self.norm2 = layers.LayerNormalization(), layers.LayerNormalization()
        self.reduce = layers.Conv2D(dim, reduction, strides=reduction, padding="same")
        self.attention = layers.MultiHeadAttention(heads, dim // heads)
        self.expand, self.contract = layers.Dense(2 * dim), layers.Dense(dim)
        self.mix = layers.DepthwiseConv2D(3, padding="same")

    def build(self, shape):
        tokens = (shape[0], None, self.dim)
        wide = (*shape[:-1], 2 * self.dim)
        for layer, of in (
            (self.norm1, shape),
            (self.norm2, shape),
            (self.reduce, shape),
            (self.expand, shape),
        ):
            layer.build(of)
        self.attention.build(tokens, tokens)
        self.mix.build(wide)
        self.contract.build(wide)

    def call(self, x):
        normed = self.norm1(x)
        tokens = ops.reshape(normed, (ops.shape(x)[0], -1, self.dim))
        fewer = ops.reshape(self.reduce(normed), (ops.shape(x)[0], -1, self.dim))
        x = x + ops.reshape(self.attention(tokens, fewer), ops.shape(x))
        return x + self.contract(ops.gelu(self.mix(self.expand(self.norm2(x))), approximate=False))

    def get_config(self):
        own = {"dim": self.dim, "heads": self.heads, "reduction": self.reduction}
        return {**super().get_config(), **own}


def transformer_bottleneck():
    image = image_input()
    *skips, x = pyramid(scaled(image))
    x = SelfAttention(16)(x)
    for skip in reversed(skips):
        x = conv_bn(layers.Concatenate()([layers.UpSampling2D(2)(x), skip]), 8)
    return keras.Model(image, head(x))


def segformer():
    """keras-hub's SegFormer in small: logits at a quarter."""
    image = image_input()
    x = scaled(image)
    stages = []
    for dim, size, stride, reduction in ((8, 7, 4, 4), (16, 3, 2, 2)):
        x = layers.LayerNormalization()(layers.Conv2D(dim, size, strides=stride, padding="same")(x))
        x = SelfAttention(dim, reduction=reduction)(x)
        stages.append(x)
    low, high = (layers.Dense(8)(stage) for stage in stages)
    x = layers.Concatenate()([low, layers.UpSampling2D(2)(high)])
    return keras.Model(image, layers.Conv2D(CLASSES, 1)(conv_bn(x, 8, 1)))


@register
class LayerScale(layers.Layer):
    def build(self, shape):
        self.gamma = self.add_weight(shape=(shape[-1],), initializer=keras.initializers.Constant(0.1))

    def call(self, x):
        return x * self.gamma


def convnext():
    image = image_input()
    x = layers.LayerNormalization()(layers.Conv2D(12, 4, strides=4, padding="same")(scaled(image)))
    for _ in range(2):
        y = layers.LayerNormalization()(layers.Conv2D(12, 7, padding="same", groups=12)(x))
        y = layers.Dense(12)(layers.Activation("gelu")(layers.Dense(24)(y)))
        x = layers.Add()([x, LayerScale()(y)])
    return keras.Model(image, head(x))


def resnext():
    image = image_input()
    x = conv_bn(scaled(image), 16, strides=2)
    for _ in range(2):
        y = conv_bn(conv_bn(x, 16, 1), 16, groups=4)
        weight = layers.Dense(4, activation="swish")(layers.GlobalAveragePooling2D(keepdims=True)(y))
        y = layers.Multiply()([y, layers.Dense(16, activation="hard_sigmoid")(weight)])
        x = layers.Add()([x, y])
    return keras.Model(image, head(x))


def fcn8():
    """Long et al. 2015: transposed convolutions and a cropped skip."""
    image = image_input()
    x = layers.ZeroPadding2D(2)(scaled(image))
    features = pyramid(x, (8, 12, 16))
    x = layers.Conv2DTranspose(CLASSES, 4, strides=2, padding="same")(layers.Conv2D(CLASSES, 1)(features[2]))
    x = layers.Add()([x, layers.Conv2D(CLASSES, 1)(features[1])])
    x = layers.Conv2DTranspose(CLASSES, 4, strides=2, padding="same")(x)
    return keras.Model(image, layers.Cropping2D(2)(x))


def submodels():
    encoder = keras.Sequential(
        [layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"), layers.BatchNormalization()]
    )
    x = inner = keras.Input((None, None, 8))
    decoder = keras.Model(inner, layers.Conv2DTranspose(8, 2, strides=2, activation="elu")(x), name="decoder")
    image = image_input()
    return keras.Model(image, head(decoder(encoder(scaled(image)))))


def with_depth():
    image, depth = image_input(), keras.Input((None, None, 1), name="depth")
    x = layers.Concatenate()([scaled(image), depth])
    return keras.Model({"image": image, "depth": depth}, head(conv_bn(x, 8)))


def odd_strides():
    image = image_input()
    x = layers.Conv2D(8, 5, strides=3, activation="relu")(scaled(image))
    x = layers.Conv2D(8, (3, 5), strides=(2, 3), padding="same", activation="relu")(x)
    return keras.Model(image, head(x))


@register
class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.scale = layers.Rescaling(1 / 255)
        self.down = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")
        self.norm = layers.BatchNormalization()
        self.up = layers.Conv2DTranspose(CLASSES, 2, strides=2)

    def call(self, image, training=None):
        return self.up(self.norm(self.down(self.scale(image)), training=training))


def subclassed():
    model = Subclassed()
    model(np.zeros((1, 32, 32, 3), "float32"))
    return model


def sequential():
    return keras.Sequential(
        [
            image_input(),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.Conv2D(8, 3, padding="same", dilation_rate=2, activation="silu"),
            layers.Conv2D(CLASSES, 1),
        ]
    )


def channels_first():
    image = keras.Input((3, None, None), name="image")
    x = layers.Conv2D(8, 3, padding="same", data_format="channels_first", activation="relu")(image)
    return keras.Model(image, layers.Conv2D(CLASSES, 1, data_format="channels_first")(x))


def noisy():
    image = image_input()
    x = layers.RandomContrast(0.1, value_range=(0, 255))(image)
    x = layers.GaussianNoise(0.1)(scaled(x))
    x = layers.SpectralNormalization(layers.Conv2D(8, 3, padding="same"))(x)
    x = layers.Dropout(0.2)(layers.Activation("mish")(layers.BatchNormalization()(x)))
    x = layers.GroupNormalization(4)(layers.Conv2D(8, 3, padding="same")(x))
    return keras.Model(image, head(layers.PReLU(shared_axes=(1, 2))(x)))


def resized_inside():
    image = image_input()
    x = layers.Resizing(32, 48)(scaled(image))
    return keras.Model(image, head(conv_bn(layers.Resizing(16, 24, interpolation="nearest")(x), 8)))


def pixel_shuffle():
    image = image_input()
    x = conv_bn(scaled(image), 8, strides=2)
    x = layers.Conv2D(4 * CLASSES, 3, padding="same")(x)
    shape = (None, None, CLASSES)
    return keras.Model(image, layers.Lambda(lambda y: tf.nn.depth_to_space(y, 2), output_shape=shape)(x))


def patches():
    """keras.io's vision transformer as a segmenter: patches of one size with learned positions."""
    image = image_input((32, 32))
    x = layers.Conv2D(16, 4, strides=4)(scaled(image))
    x = layers.Reshape((64, 16))(x)
    x = x + layers.Embedding(64, 16)(ops.arange(64))
    y = layers.LayerNormalization(epsilon=1e-6)(x)
    x = layers.Add()([layers.MultiHeadAttention(2, 8, dropout=0.1)(y, y), x])
    y = layers.Dense(32, activation="gelu")(layers.LayerNormalization(epsilon=1e-6)(x))
    x = layers.Add()([layers.Dense(16)(y), x])
    return keras.Model(image, layers.Conv2DTranspose(CLASSES, 4, strides=4)(layers.Reshape((8, 8, 16))(x)))


def flattened():
    """Older tutorials reshape to (pixels, classes)."""
    image = image_input((32, 32))
    x = head(conv_bn(scaled(image), 8))
    return keras.Model(image, layers.Reshape((32 * 32, CLASSES))(x))


def deep_supervision():
    """U-Net++ and its like give one prediction for each level."""
    image = image_input()
    low, high = pyramid(scaled(image), (8, 12))
    return keras.Model(image, [head(low), layers.Conv2D(CLASSES, 1)(high)])


ROWS = {
    "keras.io: U-Net in Xception's style, softmax": Row(xception_unet, last="softmax"),
    "TensorFlow tutorial: pix2pix U-Net on MobileNetV2, one size": Row(
        pix2pix_unet, size=(64, 64), other=(64, 64), value_range=(0, 1)
    ),
    "keras.io: DeepLabV3+, bilinear UpSampling2D, one size": Row(
        keras_io_deeplab, size=(64, 64), other=(64, 64)
    ),
    "segmentation_models: Unet, softmax": Row(sm_unet, last="softmax"),
    "segmentation_models: FPN, bilinear UpSampling2D at any size, softmax": Row(sm_fpn, last="softmax"),
    "segmentation_models: FPN, bilinear UpSampling2D at any size, logits": Row(lambda: sm_fpn("linear")),
    "segmentation_models: Linknet": Row(sm_linknet),
    "segmentation_models: PSPNet, one size, softmax": Row(
        sm_pspnet, size=(48, 48), other=(48, 48), last="softmax"
    ),
    "U-Net, one sigmoid channel": Row(lambda: small_unet("sigmoid", 1), last="sigmoid", classes=2),
    "U-Net, one logit": Row(lambda: small_unet(classes=1), classes=2),
    "Lambda in front": Row(lambda: small_unet(start=layers.Lambda(lambda x: x / 127.5 - 1))),
    "Normalization in front": Row(normalization_unet),
    "Attention U-Net": Row(attention_unet),
    "U-Net, MultiHeadAttention at the bottom": Row(transformer_bottleneck),
    "SegFormer, logits at a quarter": Row(segformer),
    "Vision transformer, one size": Row(patches, other=(32, 32)),
    "ConvNeXt blocks": Row(convnext),
    "ResNeXt blocks with squeeze and excitation": Row(resnext),
    "FCN-8s, transposed convolutions": Row(fcn8),
    "Models inside a model": Row(submodels),
    "Dict of image and depth": Row(with_depth, depth=True),
    "Strides that divide no side": Row(odd_strides, other=(37, 53)),
    "mixed_float16": Row(small_unet, policy="mixed_float16"),
    "Subclassed keras.Model": Row(subclassed),
    "keras.Sequential": Row(sequential),
    "Noise, dropout, augmentation, many normalizations": Row(noisy),
    "Resizing inside": Row(resized_inside),
    "Pixel shuffle in a Lambda": Row(pixel_shuffle),
    "U-Net of a hard-coded size": Row(lambda: small_unet(size=(32, 32)), fixed=True),
    "channels_first": Row(channels_first),
    "Logits as (pixels, classes)": Row(flattened, other=(32, 32)),
    "A prediction for each level": Row(deep_supervision),
}


class Wrong(Exception):
    """What a model gives is not what it should be."""


class Trial:
    """One model on its way through the columns."""

    COLUMNS = ("trains", "loss", "loaded", "other size", "ONNX", "SavedModel", "LiteRT")

    def __init__(self, row):
        self.row = row
        self.folder = tempfile.TemporaryDirectory()

    def cells(self, columns=COLUMNS):
        """What each column says, by its name: right, or why not; None where the model does not train."""
        steps = {
            "trains": self.train,
            "loss": self.compare_loss,
            "loaded": self.load,
            "other size": lambda: self.evaluate(self.row.other),
            "ONNX": self.to_onnx,
            "SavedModel": self.to_saved_model,
            "LiteRT": self.to_litert,
        }
        keras.utils.set_random_seed(0)
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.row.policy)
        found = dict.fromkeys(columns)
        try:
            for column in columns:
                found[column] = _said(steps[column])
                if column == "trains" and found[column] != RIGHT:
                    break
        finally:
            keras.config.set_dtype_policy(before)
            self.folder.cleanup()
        return found

    def images(self, size, count=2):
        """Colors that change smoothly, with noise, and the depth where it is wanted."""
        generator = np.random.default_rng(0)
        shape = (count, 3, *size) if self.row.build is channels_first else (count, *size, 3)
        low, high = self.row.value_range
        found = (low + (high - low) * generator.uniform(0, 1, shape)).astype("float32")
        if self.row.depth:
            return {"image": found, "depth": generator.uniform(0, 1, (count, *size, 1)).astype("float32")}
        return found

    def labels(self, size, count=2):
        """Three quarters of the pixels without a label."""
        generator = np.random.default_rng(1)
        found = generator.integers(0, self.row.classes, (count, *size))
        found[generator.uniform(0, 1, found.shape) < 0.75] = 255
        return found.astype("int32")

    @property
    def compared(self):
        return self.row.size if self.row.fixed else self.row.other

    def train(self):
        self.segmenter = self.row.build()
        model = WeaklySupervisedModel(self.segmenter, value_range=self.row.value_range)
        model.compile(keras.optimizers.SGD(1e-2), loss=PartialCrossEntropy() + GatedCRFLoss(radius=2))
        before = [ops.convert_to_numpy(weight) for weight in self.segmenter.trainable_weights]
        x, y = self.images(self.row.size, 4), self.labels(self.row.size, 4)
        history = model.fit(x, y, batch_size=2, verbose=0).history
        if not np.isfinite([value for values in history.values() for value in values]).all():
            raise Wrong(f"losses {history}")
        after = [ops.convert_to_numpy(weight) for weight in self.segmenter.trainable_weights]
        if all((old == new).all() for old, new in zip(before, after, strict=True)):
            raise Wrong("no weight has moved")
        self.model = model

    def evaluate(self, size):
        found = self.model.evaluate(
            self.images(size), self.labels(size), batch_size=2, return_dict=True, verbose=0
        )
        if not np.isfinite(list(found.values())).all():
            raise Wrong(f"losses {found}")
        return found

    def probabilities(self, images):
        """What the model means, at the size of the image."""
        found = self.segmenter(images, training=False)
        size = (images["image"] if self.row.depth else images).shape[1:3]
        found = tf.image.resize(tf.cast(found, "float32"), size)
        if self.row.last == "logits" and found.shape[-1] > 1:
            return tf.nn.softmax(found).numpy()
        if found.shape[-1] == 1:
            second = found if self.row.last == "sigmoid" else tf.sigmoid(found)
            return np.concatenate([1 - second, second], -1)
        return found.numpy()

    def compare_loss(self):
        size = self.row.size
        found = self.evaluate(size)["partial_cross_entropy"]
        labels, meant = self.labels(size), self.probabilities(self.images(size))
        known = labels != 255
        expected = -np.log(np.take_along_axis(meant[known], labels[known][:, None], -1)).mean()
        if abs(found - expected) > (1e-2 if self.row.policy != "float32" else 1e-3) * expected:
            raise Wrong(f"a cross entropy of {found:.3f} where the probabilities say {expected:.3f}")

    def load(self):
        path = pathlib.Path(self.folder.name) / "model.keras"
        self.model.save(path)
        loaded = keras.saving.load_model(path, safe_mode=False)
        images = self.images(self.compared)
        here, there = (ops.convert_to_numpy(model(images, training=False)) for model in (self.model, loaded))
        if np.abs(here - there).max() > 1e-5:
            raise Wrong(f"a difference of {np.abs(here - there).max():.2g}")

    def _write(self, write, name, **options):
        path = pathlib.Path(self.folder.name) / name
        write(self.model, path, value_range=self.row.value_range, check_sizes=[self.compared], **options)
        return path

    def _compare(self, found):
        expected = self.probabilities(self.images(self.compared))
        difference = np.abs(found - expected).max()
        # Half precision belongs to the training; a file computes in float32.
        if difference > (1e-2 if self.row.policy != "float32" else 1e-4):
            raise Wrong(f"probabilities differ by {difference:.2g}")

    def to_onnx(self):
        path = self._write(export.to_onnx, "model.onnx")
        self._compare(export.OnnxSegmenter(path).probabilities(self.images(self.compared)))

    def to_saved_model(self):
        path = self._write(export.to_saved_model, "model")
        run = tf.saved_model.load(str(path)).signatures["serving_default"]
        self._compare(run(image=tf.constant(self.images(self.compared)))["probabilities"].numpy())

    def to_litert(self):
        from ai_edge_litert.interpreter import Interpreter

        path = self._write(export.to_litert, "model.tflite", size=self.compared)
        images = self.images(self.compared)
        runner = Interpreter(str(path)).get_signature_runner("serving_default")
        self._compare(runner(image=images)["probabilities"])


def _said(step):
    try:
        step()
    except Wrong as error:
        return f"**wrong**: {error}"
    except Exception as error:
        lines = [line.strip() for line in re.sub(r"\x1b\[\d*m", "", str(error)).splitlines() if line.strip()]
        # Keras puts the layer in front of what went wrong there.
        in_a_layer = bool(lines) and lines[0].startswith("Exception encountered")
        return " ".join(lines[: 1 + in_a_layer]) or type(error).__name__
    return RIGHT


def table(results):
    """Markdown: a row for each model, and below the reasons.

    Args:
        results: cells by column, by the name of the row.

    Returns:
        Text.
    """
    reasons = []
    lines = ["| model | " + " | ".join(Trial.COLUMNS) + " |", "|---" * (len(Trial.COLUMNS) + 1) + "|"]
    for name, cells in results.items():
        shown = []
        for text in cells.values():
            if text in (RIGHT, None):
                shown.append(text or "")
                continue
            if text not in reasons:
                reasons.append(text)
            shown.append(f"[{reasons.index(text) + 1}]")
        lines.append(f"| {name} | {' | '.join(shown)} |")
    return "\n".join([*lines, "", *(f"{number}. {text}" for number, text in enumerate(reasons, 1))])


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="parts of names of rows; all by default")
    wanted = parser.parse_args().names
    results = {}
    for name, row in ROWS.items():
        if not wanted or any(text in name for text in wanted):
            results[name] = Trial(row).cells()
            print(f"{name}: {results[name]}", file=sys.stderr, flush=True)
            keras.backend.clear_session()
    print(table(results))


if __name__ == "__main__":
    main()
