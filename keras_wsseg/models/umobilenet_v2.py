"""The light U-Net of single-class segmentation."""

from keras_wsseg.models.encoder_unet import EncoderUNet


def UMobileNetV2(num_classes=2, weights=None, frozen=None, name="umobilenetv2", **options):
    """A U-Net on MobileNetV2, "UMobV2", from images of any size to logits.

    The segmenter for learning one object class from unlabeled images with regularized losses, trained on
    whole images of 128x128 and deployed by `with_input_size`; by default for object and background.

    Args:
        num_classes: number of classes, at least 1.
        weights: None for random weights, `"imagenet"`, or the path of a file.
        frozen: whether the encoder is not trained; None: frozen if `weights` are given.
        name: name of the model.
        **options: further arguments of `EncoderUNet`.

    Returns:
        A functional `keras.Model` from `(batch, height, width, channels)` to float32 logits
        `(batch, height, width, num_classes)`.

    Raises:
        ValueError: if an argument is out of range.
        FileNotFoundError: if `weights` is the path of a file that does not exist.

    Example:

    >>> segmenter = UMobileNetV2()
    >>> segmenter.compute_output_shape((1, 97, 131, 3))
    (1, 97, 131, 2)

    Source: Veksler 2020, "Regularized Loss for Weakly Supervised Single Class Semantic Segmentation", ECCV;
    Sandler et al. 2018, arXiv:1801.04381. Departures: see `EncoderUNet`.
    """
    return EncoderUNet(num_classes, "MobileNetV2", weights=weights, frozen=frozen, name=name, **options)
