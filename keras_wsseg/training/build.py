"""From settings to the parts of a training: data, segmenter, loss, optimizer."""

import pathlib
import re

import keras

from keras_wsseg import callbacks, losses, models
from keras_wsseg.data import SegmentationFolder, SingleClassFolder, TagFolder
from keras_wsseg.data.listing import read_lines
from keras_wsseg.export.source import all_layers
from keras_wsseg.imaging.label_values import parse_values
from keras_wsseg.layers import PUBLISHED_COUPLING, crf_preset
from keras_wsseg.optimizers import LearningRateMultipliers
from keras_wsseg.training.run_folder import load_model

_DENSE_LOSSES = {
    "dense-crf": losses.DenseCRFLoss,
    "normalized-cut": losses.NormalizedCutLoss,
    "kernel-cut": losses.KernelCutLoss,
    "adm": losses.ADMLoss,
    "rrm": losses.DenseEnergyLoss,
}


def build_training_data(config):
    """The training images with the annotation that the method learns from.

    Those without annotation are left to the methods whose loss has something to say about them.
    """
    if config.single_class:
        return SingleClassFolder(
            config.data,
            positives=config.positives,
            negatives=config.negatives if config.negative_epochs else (),
            split=config.train_split,
            object_name=_object_name(config),
            value_range=config.value_range or None,
        )
    if config.from_tags:
        return TagFolder(
            config.data,
            tags=config.tags,
            split=config.train_split,
            value_range=config.value_range or None,
            values=parse_values(config.values_of_annotation),
        )
    simulated = {}
    if config.label_source in ("clicks", "simulated_clicks"):
        simulated["click_size"] = config.click_size
    if config.label_source == "simulated_clicks":
        simulated["stuff_classes"] = config.stuff_classes
        simulated["instances"] = config.instances
    if config.label_source in ("scribbles", "simulated_scribbles"):
        simulated["scribble_length"] = config.scribble_length
    data = SegmentationFolder(
        config.data,
        annotation=config.label_source,
        split=config.train_split,
        labeled_fraction=config.labeled_fraction,
        unlabeled_split=config.unlabeled_split,
        value_range=config.value_range or None,
        values=parse_values(config.values_of_annotation),
        **simulated,
    )
    if not config.regularized:
        data.unlabeled = None
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
    """The images to score on, with dense labels, read the way the training images are; None without."""
    if config.val_split is None:
        return None
    return SegmentationFolder(
        config.data,
        annotation="labels",
        split=config.val_split,
        num_classes=like.num_classes,
        class_names=like.class_names,
        color_mode="grayscale" if like.channels == 1 else "rgb",
        value_range=like.value_range,
        values=parse_values(config.values_of_labels),
    )


def build_model(config, data, started=True):
    """The untrained model that learns, around the segmenter that remains of it.

    Args:
        config: the `TrainingConfig`.
        data: has `num_classes`, `channels` and `value_range`.
        started: whether the segmenter gets the weights of `config.start_from`, where there is one.

    Returns:
        A `WeaklySupervisedModel`, and the segmenter to save.
    """
    if config.method != "rrm":
        segmenter = build_segmenter(config, data, started)
        return models.WeaklySupervisedModel(segmenter, value_range=data.value_range), segmenter
    if config.model == "two-branch":
        backbone = {"backbone": config.backbone, "weights": config.weights}
    else:
        backbone = {"backbone": models.feature_extractor(_build_network(config, data))}
    model = models.ReliableRegionMining(
        data.num_classes,
        channels=data.channels,
        value_range=data.value_range,
        dilation=config.dilation,
        scales=config.cam_scales,
        background_exponent=config.background_gamma,
        keep_fraction=config.reliable_share,
        crf=_mining_crf(config.mining_crf, data.value_range),
        classification_weight=config.classification_weight,
        weight_decay=config.weight_decay,
        **backbone,
    )
    return model, _finished(model.segmenter, config, started)


def _mining_crf(kind, value_range):
    if kind != "windowed":
        return None if kind == "dense" else False
    return crf_preset(kind, value_range, coupling=PUBLISHED_COUPLING, iterations=10, from_logits=False)


def build_segmenter(config, data, started=True):
    """The untrained segmenter for these images and classes; arguments as of `build_model`."""
    if config.method == "rrm":
        return build_model(config, data, started)[1]
    return _finished(_build_network(config, data), config, started)


def _finished(segmenter, config, started):
    if config.whole_images:
        segmenter = models.with_input_size(segmenter, config.crop)
    if started and config.start_from is not None:
        start_from(config.start_from, segmenter)
    return segmenter


def _build_network(config, data):
    common = {
        "input_channels": data.channels,
        "value_range": data.value_range,
        "output_stride": config.output_stride,
        "weight_decay": config.weight_decay,
    }
    if config.model == "unet":
        return models.UNet(data.num_classes, filters=config.filters, **common)
    common["weights"] = config.weights
    if config.model in ("deeplabv3plus", "encoder-unet"):
        common["backbone"] = config.backbone
    if config.model in ("umobilenetv2", "encoder-unet"):
        common["frozen"] = _frozen(config)
    kinds = {
        "deeplabv3plus": models.DeepLabV3Plus,
        "umobilenetv2": models.UMobileNetV2,
        "encoder-unet": models.EncoderUNet,
        "vgg16-skip": models.VGG16Skip,
    }
    return kinds[config.model](data.num_classes, **common)


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
            target_fraction=config.object_fraction,
            small_reduction=config.small_reduction,
            border=config.border,
            center=config.center,
            **_without_none({"crf_weight": config.crf_weight, "sigma_rgb": config.sigma_rgb}),
        )
        stages = callbacks.SingleClassStages(
            loss,
            annealing_epochs=config.annealing_epochs,
            normal_epochs=config.normal_epochs,
            initial_sigma_rgb=config.first_sigma,
            annealing_weight=config.annealing_weight,
            reset_optimizer=config.reset_optimizer,
        )
        return loss, [stages]
    if config.from_tags:
        return _build_tag_loss(config)
    class_weights = None if config.class_weights == "none" else config.class_weights
    cross_entropy = losses.PartialCrossEntropy(class_weights=class_weights)
    if not config.regularized:
        return cross_entropy, []
    regularized = build_regularized_loss(config)
    schedule = []
    if config.warm_up_steps or config.ramp_steps:
        schedule.append(callbacks.WarmUp(regularized, config.warm_up_steps, config.ramp_steps))
    return cross_entropy + regularized, schedule


def _build_tag_loss(config):
    if config.method == "rrm":
        terms = [losses.BalancedCrossEntropy(), build_regularized_loss(config)]
        late = terms
    else:
        terms = [
            losses.AdaptivePriorLoss(
                min_background_fraction=config.prior_background, object_fraction=config.prior_object
            )
        ]
        late = [build_regularized_loss(config)] if config.regularized else []
        terms += late
    schedule = []
    if config.warm_up_steps or config.ramp_steps:
        schedule = [callbacks.WarmUp(term, config.warm_up_steps, config.ramp_steps) for term in late]
    return losses.LossSum(terms), schedule


def build_regularized_loss(config):
    """The term beside the cross entropy, of a method that has one."""
    given = {"weight": config.crf_weight}
    if config.method == "tags-prior":
        widths = _without_none({"sigma_xy": config.sigma_xy, "sigma_rgb": config.sigma_rgb})
        wide, near = losses.NeighborhoodLoss().kernels
        return losses.NeighborhoodLoss(
            variant=config.neighborhood,
            sharpness=1.0 if config.neighborhood == "mean" else config.sharpness,
            kernels=[losses.GaussianKernel(**{**wide.get_config(), **widths}), near],
            radius=config.neighborhood_radius,
            filter_method="auto" if config.neighborhood_radius else config.dense_method,
            landmarks=config.landmarks,
            **_without_none(given),
        )
    if config.method == "gated-crf":
        widths = {"sigma_xy": config.sigma_xy, "sigma_rgb": config.sigma_rgb}
        (kernel,) = losses.GatedCRFLoss().kernels
        given["kernels"] = losses.GaussianKernel(**{**kernel.get_config(), **_without_none(widths)})
        given.update(radius=config.radius, normalization=config.normalization)
        given.update(
            gate_source=config.gate_source,
            gate_destination=config.gate_destination,
            gate_padding=config.gate_padding,
        )
        kind = losses.GatedCRFLoss
    else:
        given.update(sigma_xy=config.sigma_xy, sigma_rgb=config.sigma_rgb)
        given.update(filter_method=config.dense_method, landmarks=config.landmarks)
        if config.method == "kernel-cut":
            given.update(cut_weight=config.gamma)
            given.update(cut_sigma_xy=config.cut_sigma_xy, cut_sigma_rgb=config.cut_sigma_rgb)
        if config.method == "adm":
            given.update(coupling=config.adm_strength, iterations=config.adm_iterations)
        kind = _DENSE_LOSSES[config.method]
    return kind(resolution=config.loss_scale, **_without_none(given))


def _without_none(settings):
    return {name: value for name, value in settings.items() if value is not None}


def build_optimizer(config, steps, segmenter=None):
    """The optimizer with its learning rate, for a training of so many steps.

    Args:
        config: the `TrainingConfig`.
        steps: of the whole training.
        segmenter: whose encoder learns at `config.encoder_rate` of the rate.
    """
    rate = config.learning_rate
    if rate is None:
        rate = 1e-3 if config.single_class else 3e-3
    constant = config.decay == "constant" or (config.decay == "auto" and config.single_class)
    if not constant:
        rate = keras.optimizers.schedules.PolynomialDecay(rate, steps, end_learning_rate=0.0, power=0.9)
    if config.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(rate, momentum=0.9)
    else:
        optimizer = keras.optimizers.Adam(rate)
    if config.encoder_rate == 1 or segmenter is None:
        return optimizer
    # Paths do not tell that a layer is part of an encoder.
    paths = "|".join(re.escape(variable.path) for variable in _encoder_variables(segmenter))
    return LearningRateMultipliers(optimizer, {f"^({paths})$": config.encoder_rate}) if paths else optimizer


def _encoder_variables(segmenter):
    models_inside = [layer for layer in all_layers(segmenter) if isinstance(layer, keras.Model)]
    encoders = [model for model in models_inside if not any(isinstance(x, keras.Model) for x in model.layers)]
    return [variable for encoder in encoders for variable in encoder.trainable_variables]
