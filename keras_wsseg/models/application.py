"""Encoders from `keras.applications`."""

import inspect
import pathlib

import keras

from keras_wsseg.layers import IMAGENET_MEAN, IMAGENET_STD
from keras_wsseg.models.blocks import STRIDES, check_one_of, coupled_l2

PROBE_SIZE = 256

_SIGNED = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
_IMAGENET = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
_CAFFE = {
    "mean": (123.68 / 255, 116.779 / 255, 103.939 / 255),
    "std": (1 / 255,) * 3,
    "reverse_channels": True,
}
_PREPROCESSING = {
    "ConvNeXt": _IMAGENET,
    "DenseNet": _IMAGENET,
    "EfficientNetB": _IMAGENET,
    "EfficientNetV2": {"mean": (128 / 255,) * 3, "std": (128 / 255,) * 3},
    "EfficientNetV2B": _IMAGENET,
    "MobileNet": _SIGNED,
    "MobileNetV2": _SIGNED,
    "MobileNetV3": _SIGNED,
    "ResNet50": _CAFFE,
    "ResNet101": _CAFFE,
    "ResNet152": _CAFFE,
    "ResNet50V2": _SIGNED,
    "ResNet101V2": _SIGNED,
    "ResNet152V2": _SIGNED,
    "VGG": _CAFFE,
}
_STEM_OF_STRIDE_4 = ("ConvNeXt",)


def application_encoder(name, strides=(4, 16), channels=3, weights=None, weight_decay=0.0):
    """Any supported network of `keras.applications` as an encoder of a standardized image.

    The returned features are the last layer outputs at each stride. Preprocessing layers inside a network are
    removed, so that all networks take a standardized image: see `application_preprocessing`. The image's
    sides must be multiples of 32: at other sizes, rounding and padding differ between networks.

    Args:
        name: name of a network in `keras.applications`; case, hyphens and underscores are ignored.
        strides: image pixels per feature along each axis, increasing, each one of `application_strides`.
        channels: channels of the image.
        weights: None for random weights, `"imagenet"`, or the path of a file as accepted by
            `keras.applications`.
        weight_decay: coupled L2 on the convolution kernels: `weight_decay * w` is added to each gradient.

    Returns:
        A `keras.Model` from `(batch, height, width, channels)` to a list of the features at each
        of `strides`.

    Raises:
        ValueError: if there is no such network, or it has no features at one of the strides.
        FileNotFoundError: if `weights` is the path of a file that does not exist.

    Example:

    >>> encoder = application_encoder("MobileNetV2")
    >>> [tuple(x.shape) for x in encoder.outputs]
    [(None, None, None, 144), (None, None, None, 576)]
    """
    name = application_name(name)
    for stride in strides:
        check_one_of(application_strides(name), strides=stride)
    regularizer = coupled_l2(weight_decay)
    if weights not in (None, "imagenet") and not pathlib.Path(weights).is_file():
        raise FileNotFoundError(
            "`weights` must be None, 'imagenet' or the path of an existing file. "
            f"Received: weights={str(weights)!r}"
        )
    build = getattr(keras.applications, name)
    options = {"include_preprocessing": False} if _takes(build, "include_preprocessing") else {}
    shape = (None, None, channels)
    network = build(include_top=False, weights=weights, input_shape=shape, **options)
    if regularizer is not None:
        _regularize(network, regularizer)
    start, layers = _after_preprocessing(network)
    return keras.Model(start, _last_outputs(network, layers, strides), name=network.name)


def application_name(name):
    """The exact name in `keras.applications` for a name in any spelling.

    >>> application_name("mobilenet_v2")
    'MobileNetV2'
    """
    wanted = name.lower().replace("-", "").replace("_", "")
    for known in dir(keras.applications):
        builds = getattr(keras.applications, known)
        if known.lower() == wanted and _takes(builds, "include_top") and _longest_prefix(known):
            return known
    raise ValueError(
        "`backbone` must be resnet18, resnet34, resnet38 or a network of keras.applications from the "
        f"families {', '.join(sorted(_PREPROCESSING))}. Received: backbone={name!r}"
    )


def application_preprocessing(name):
    """The arguments of `Standardize` that match a network's pretrained weights.

    >>> application_preprocessing("MobileNetV2")
    {'mean': (0.5, 0.5, 0.5), 'std': (0.5, 0.5, 0.5)}
    """
    return _PREPROCESSING[_longest_prefix(application_name(name))]


def application_strides(name):
    """The strides at which a network provides features.

    >>> application_strides("MobileNetV2"), application_strides("ConvNeXtTiny")
    ((2, 4, 8, 16, 32), (4, 8, 16, 32))
    """
    return STRIDES[1:] if application_name(name).startswith(_STEM_OF_STRIDE_4) else STRIDES


def _longest_prefix(name):
    return max((key for key in _PREPROCESSING if name.startswith(key)), key=len, default=None)


def _takes(function, argument):
    return inspect.isfunction(function) and argument in inspect.signature(function).parameters


def _after_preprocessing(network):
    # `Standardize` replaces it, for images in any range and with any number of channels.
    layers = network.layers[1:]
    start = network.input
    while isinstance(layers[0], (keras.layers.Rescaling, keras.layers.Normalization)):
        start, layers = layers[0].output, layers[1:]
    return start, layers


def _last_outputs(network, layers, strides):
    probe = keras.Model(network.input, [layer.output for layer in layers])
    shapes = probe.compute_output_shape((1, PROBE_SIZE, PROBE_SIZE, network.input.shape[-1]))
    last = {shape[1:3]: layer.output for layer, shape in zip(layers, shapes, strict=True)}
    return [last[PROBE_SIZE // stride, PROBE_SIZE // stride] for stride in strides]


def _regularize(layer, regularizer):
    for inner in getattr(layer, "layers", []):
        _regularize(inner, regularizer)
    if hasattr(layer, "kernel"):
        # The weight's regularizer takes effect now, the layer's argument after loading.
        layer.kernel.regularizer = regularizer
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        setattr(layer, "depthwise_regularizer" if depthwise else "kernel_regularizer", regularizer)
