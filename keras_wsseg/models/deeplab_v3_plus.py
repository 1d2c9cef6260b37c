"""DeepLabV3+."""

import keras
from keras import layers

from keras_wsseg.layers import ResizeLike
from keras_wsseg.models.blocks import (
    check_at_least,
    check_dropout,
    check_one_of,
    conv,
    conv_bn_relu,
    coupled_l2,
)
from keras_wsseg.models.encoder import encode


def DeepLabV3Plus(
    num_classes,
    backbone="resnet34",
    weights=None,
    channels=3,
    value_range=(0, 255),
    output_stride=1,
    encoder_stride=16,
    atrous_rates=(6, 12, 18),
    filters=256,
    low_level_filters=48,
    dropout=0.0,
    weight_decay=0.0,
    name="deeplabv3plus",
):
    """DeepLabV3+ on a ResNet or any supported network of `keras.applications`, from images to logits.

    The segmenter of the gated CRF paper, and the usual choice if pretrained weights are available: an
    encoder, atrous spatial pyramid pooling on its last features, and a decoder that refines them with the
    features at stride 4. The image is normalized in the graph as the encoder's weights require.

    Args:
        num_classes: number of classes, at least 1.
        backbone: `"resnet18"`, `"resnet34"`, or the name of a network in `keras.applications` whose layers
            pad to "same": any MobileNet, ResNet, EfficientNet, ConvNeXt, DenseNet or VGG.
        weights: None for random weights; for `keras.applications`, `"imagenet"` or the path of a file; for
            the ResNets of this library, the path of a file, see `load_resnet_weights`.
        channels: channels of the images. Gray images (1 channel) are repeated to the three channels of the
            encoder, so that they can be used with pretrained weights.
        value_range: the values of black and white in the input images.
        output_stride: 1 for logits of the image's size, 4 for a quarter of it, rounded up, which saves memory
            and is the size at which the paper defines the gated CRF.
        encoder_stride: image pixels per feature at the end of the encoder, 8, 16 or 32. The ResNets of this
            library dilate their last stages for strides below 32; other networks are truncated at their last
            features of that stride.
        atrous_rates: dilations of the 3x3 convolutions of the pyramid, for an `encoder_stride` of 16.
        filters: channels of the pyramid and of the decoder.
        low_level_filters: channels to which the features at stride 4 are reduced.
        dropout: rate of dropout before the last layer, in [0, 1).
        weight_decay: coupled L2 on all convolution kernels, including the encoder's: `weight_decay * w` is
            added to each gradient with any optimizer. Pass the published 1e-4 here, not as `weight_decay` of
            a Keras optimizer, which is about ten times weaker with a momentum of 0.9.
        name: name of the model.

    Returns:
        A functional `keras.Model` from `(batch, height, width, channels)` to float32 logits
        `(batch, ceil(height / output_stride), ceil(width / output_stride), num_classes)`. New layers are
        initialized with Glorot uniform ("Xavier").

    Raises:
        ValueError: if an argument is out of range, or the weights do not match the backbone.
        FileNotFoundError: if `weights` is the path of a file that does not exist.

    Example:

    >>> import numpy as np
    >>> segmenter = DeepLabV3Plus(num_classes=4, backbone="resnet18", filters=8, output_stride=4)
    >>> segmenter(np.zeros((1, 33, 41, 3), "uint8")).shape.as_list()
    [1, 9, 11, 4]

    Source: Chen, Zhu, Papandreou, Schroff, Adam 2018, arXiv:1802.02611. Departures: full instead of
    separable 3x3 convolutions.
    """
    check_at_least(
        1,
        num_classes=num_classes,
        channels=channels,
        filters=filters,
        low_level_filters=low_level_filters,
    )
    for rate in atrous_rates:
        check_at_least(1, atrous_rates=rate)
    check_one_of((1, 4), output_stride=output_stride)
    check_one_of((8, 16, 32), encoder_stride=encoder_stride)
    check_dropout(dropout)
    new = {"initializer": "glorot_uniform", "regularizer": coupled_l2(weight_decay)}

    inputs = keras.Input((None, None, channels), dtype="float32", name="image")
    low, high = encode(inputs, backbone, (4, encoder_stride), weights, value_range, weight_decay)

    branches = [conv_bn_relu(high, filters, 1, "aspp_0", **new)]
    for i, rate in enumerate(atrous_rates, start=1):
        branches.append(conv_bn_relu(high, filters, 3, f"aspp_{i}", dilation_rate=rate, **new))
    pooled = layers.GlobalAveragePooling2D(keepdims=True, name="aspp_pool")(high)
    pooled = conv_bn_relu(pooled, filters, 1, "aspp_pool", **new)
    branches.append(ResizeLike(name="aspp_pool_resize")(pooled, high))
    x = layers.Concatenate(name="aspp_concat")(branches)
    x = conv_bn_relu(x, filters, 1, "aspp_project", **new)

    x = ResizeLike(name="decoder_resize")(x, low)
    low = conv_bn_relu(low, low_level_filters, 1, "low_level", **new)
    x = layers.Concatenate(name="decoder_concat")([x, low])
    x = conv_bn_relu(x, filters, 3, "decoder_0", **new)
    x = conv_bn_relu(x, filters, 3, "decoder_1", **new)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    logits = conv(x, num_classes, 1, "logits", dtype="float32", **new)
    if output_stride == 1:
        logits = ResizeLike(dtype="float32", name="logits_resize")(logits, inputs)
    return keras.Model(inputs, logits, name=name)
