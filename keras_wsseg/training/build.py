"""From settings to the parts of a training: data, segmenter, loss, optimizer."""

import keras

from keras_wsseg import losses, models
from keras_wsseg.data import SegmentationFolder


def build_training_data(config):
    """The training pictures with the annotation that the method learns from.

    Those without annotation are left to the methods whose loss has something to say about them.
    """
    simulated = {}
    if config.label_source in ("clicks", "simulated_clicks"):
        simulated["click_size"] = config.click_size
    if config.label_source == "simulated_clicks":
        simulated["stuff_classes"] = config.stuff_classes
    if config.label_source in ("scribbles", "simulated_scribbles"):
        simulated["scribble_length"] = config.scribble_length
    data = SegmentationFolder(
        config.data,
        annotation=config.label_source,
        split=config.train_split,
        labelled_share=config.labelled_share,
        unlabelled_split=config.unlabelled_split,
        **simulated,
    )
    if config.method in ("pce", "full"):
        data.unlabelled = None
    return data


def build_validation_data(config, like):
    """The pictures to score on, with dense labels, read the way the training pictures are; None without."""
    if config.val_split is None:
        return None
    return SegmentationFolder(
        config.data,
        annotation="labels",
        split=config.val_split,
        num_classes=like.num_classes,
        class_names=like.class_names,
        channels="grey" if like.channels == 1 else "rgb",
        value_range=like.value_range,
    )


def build_segmenter(config, data):
    """The untrained segmenter for these pictures and classes."""
    common = {
        "input_channels": data.channels,
        "value_range": data.value_range,
        "output_stride": config.output_stride,
        "weight_decay": config.weight_decay,
    }
    if config.model == "unet":
        return models.UNet(data.num_classes, filters=config.filters, **common)
    return models.DeepLabV3Plus(data.num_classes, backbone=config.backbone, weights=config.weights, **common)


def build_loss(config):
    """The loss, and its gated CRF term or None."""
    class_weights = None if config.class_weights == "none" else config.class_weights
    cross_entropy = losses.PartialCrossEntropy(class_weights=class_weights)
    if config.method != "gated-crf":
        return cross_entropy, None
    crf = losses.GatedCRFLoss(
        weight=config.crf_weight,
        radius=config.radius,
        kernels=losses.GaussianKernel(xy=config.sigma_xy, rgb=config.sigma_rgb),
        gate_source=config.gate_source,
        gate_destination=config.gate_destination,
        normalization=config.normalization,
        scale=config.loss_scale,
    )
    return cross_entropy + crf, crf


def build_optimizer(config):
    """The optimizer with its falling learning rate."""
    schedule = keras.optimizers.schedules.PolynomialDecay(
        config.learning_rate, config.steps, end_learning_rate=0.0, power=0.9
    )
    if config.optimizer == "sgd":
        return keras.optimizers.SGD(schedule, momentum=0.9)
    return keras.optimizers.Adam(schedule)
