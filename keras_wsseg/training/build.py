"""From settings to the parts of a training: data, segmenter, loss, optimizer."""

import pathlib

import keras

from keras_wsseg import callbacks, losses, models
from keras_wsseg.data import SegmentationFolder, SingleClassFolder
from keras_wsseg.data.listing import read_lines
from keras_wsseg.export.source import all_layers
from keras_wsseg.training.run_folder import load_model

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
    if config.single_class:
        return SingleClassFolder(
            config.data,
            positives=config.positives,
            negatives=config.negatives if config.negative_epochs else (),
            split=config.train_split,
            object_name=_object_name(config),
        )
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


def _object_name(config):
    names = pathlib.Path(config.data) / "classes.txt"
    if config.object_name is not None or not names.is_file():
        return config.object_name or "object"
    lines = read_lines(names)
    if len(lines) != 2:
        raise ValueError(
            f"object_name must be given where {str(names)!r} names other than two classes, the background "
            f"and the object. Received: object_name=None and {len(lines)} names"
        )
    return lines[1]


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


def build_segmenter(config, data, started=True):
    """The untrained segmenter for these pictures and classes.

    Args:
        config: the `TrainingConfig`.
        data: has `num_classes`, `channels` and `value_range`.
        started: whether it gets the weights of `config.start_from`, where there is one.
    """
    common = {
        "input_channels": data.channels,
        "value_range": data.value_range,
        "output_stride": config.output_stride,
        "weight_decay": config.weight_decay,
    }
    if config.model == "unet":
        segmenter = models.UNet(data.num_classes, filters=config.filters, **common)
    else:
        common["weights"] = config.weights
        if config.model != "umobilenetv2":
            common["backbone"] = config.backbone
        if config.model != "deeplabv3plus":
            common["frozen"] = _frozen(config)
        kinds = {
            "deeplabv3plus": models.DeepLabV3Plus,
            "umobilenetv2": models.UMobileNetV2,
            "encoder-unet": models.EncoderUNet,
        }
        segmenter = kinds[config.model](data.num_classes, **common)
    if config.whole_pictures:
        segmenter = models.at_working_size(segmenter, config.crop)
    if started and config.start_from is not None:
        start_from(config.start_from, segmenter)
    return segmenter


def _frozen(config):
    """Whether the encoder stays as it is; None leaves it to the model."""
    if config.encoder == "auto" and config.start_from is not None and config.weights is None:
        layers = all_layers(_load_start(config.start_from))
        return any(not layer.trainable for layer in layers if isinstance(layer, keras.Model))
    return {"auto": None, "frozen": True, "trained": False}[config.encoder]


def _load_start(path):
    return load_model(path, f"start_from={path!r}")


def start_from(path, segmenter):
    """Copies the weights of a finished training into a segmenter of the same architecture.

    Raises:
        FileNotFoundError, ValueError: as of `load_model`, and if the weights do not fit.
    """
    begun = _load_start(path)
    try:
        models.copy_weights(begun, segmenter)
    except ValueError as error:
        fits_not = str(error).partition("Received: ")[2]
        raise ValueError(
            f"the segmenter of start_from={path!r} must be of the same architecture. Received: {fits_not}"
        ) from error


def build_loss(config):
    """The loss, and the callbacks that lead its weights through the training."""
    if config.single_class:
        loss = losses.SingleClassLoss(
            volumetric_weight=config.volumetric_weight,
            positional_weight=config.positional_weight,
            negative_weight=config.negative_weight,
            target=config.object_share,
            small_reduction=config.small_reduction,
            border=config.border,
            center=config.center,
            **_without_none({"crf_weight": config.crf_weight, "sigma": config.sigma_rgb}),
        )
        stages = callbacks.SingleClassStages(
            loss,
            annealing_epochs=config.annealing_epochs,
            normal_epochs=config.normal_epochs,
            first_sigma=config.first_sigma,
            annealing_weight=config.annealing_weight,
            reset_optimizer=config.reset_optimizer,
        )
        return loss, [stages]
    class_weights = None if config.class_weights == "none" else config.class_weights
    cross_entropy = losses.PartialCrossEntropy(class_weights=class_weights)
    if not config.regularised:
        return cross_entropy, []
    regularised = build_regularised_loss(config)
    schedule = []
    if config.warm_up_steps or config.ramp_steps:
        schedule.append(callbacks.WarmUp(regularised, config.warm_up_steps, config.ramp_steps))
    return cross_entropy + regularised, schedule


def build_regularised_loss(config):
    """The term beside the cross entropy, of a method that has one."""
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
    return kind(scale=config.loss_scale, **_without_none(given))


def _without_none(settings):
    return {name: value for name, value in settings.items() if value is not None}


def build_optimizer(config, steps):
    """The optimizer with its learning rate, for a training of so many steps."""
    rate = config.learning_rate
    if rate is None:
        rate = 1e-3 if config.single_class else 3e-3
    constant = config.decay == "constant" or (config.decay == "auto" and config.single_class)
    if not constant:
        rate = keras.optimizers.schedules.PolynomialDecay(rate, steps, end_learning_rate=0.0, power=0.9)
    if config.optimizer == "sgd":
        return keras.optimizers.SGD(rate, momentum=0.9)
    return keras.optimizers.Adam(rate)
