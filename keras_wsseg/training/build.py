"""From settings to the parts of a training: data, segmenter, loss, optimizer."""

import keras

from keras_wsseg import losses, models
from keras_wsseg.data import SegmentationFolder

_DENSE_LOSSES = {
    "dense-crf": losses.DenseCRFLoss,
    "normalized-cut": losses.NormalizedCutLoss,
    "kernel-cut": losses.KernelCutLoss,
    "adm": losses.ADMLoss,
}


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
    if not config.regularised:
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
    """The loss, and its regularised term or None."""
    class_weights = None if config.class_weights == "none" else config.class_weights
    cross_entropy = losses.PartialCrossEntropy(class_weights=class_weights)
    if not config.regularised:
        return cross_entropy, None
    given = {"weight": config.crf_weight}
    if config.method == "gated-crf":
        widths = {"xy": config.sigma_xy, "rgb": config.sigma_rgb}
        (kernel,) = losses.GatedCRFLoss().kernels
        given["kernels"] = losses.GaussianKernel(**{**kernel.get_config(), **_without_none(widths)})
        given.update(radius=config.radius, normalization=config.normalization)
        given.update(gate_source=config.gate_source, gate_destination=config.gate_destination)
        kind = losses.GatedCRFLoss
    else:
        given.update(sigma_xy=config.sigma_xy, sigma_rgb=config.sigma_rgb)
        given.update(method=config.dense_method, landmarks=config.landmarks)
        if config.method == "kernel-cut":
            given.update(gamma=config.gamma)
            given.update(cut_sigma_xy=config.cut_sigma_xy, cut_sigma_rgb=config.cut_sigma_rgb)
        if config.method == "adm":
            given.update(strength=config.adm_strength, iterations=config.adm_iterations)
        kind = _DENSE_LOSSES[config.method]
    regularised = kind(scale=config.loss_scale, **_without_none(given))
    return cross_entropy + regularised, regularised


def _without_none(settings):
    return {name: value for name, value in settings.items() if value is not None}


def build_optimizer(config):
    """The optimizer with its falling learning rate."""
    schedule = keras.optimizers.schedules.PolynomialDecay(
        config.learning_rate, config.steps, end_learning_rate=0.0, power=0.9
    )
    if config.optimizer == "sgd":
        return keras.optimizers.SGD(schedule, momentum=0.9)
    return keras.optimizers.Adam(schedule)
