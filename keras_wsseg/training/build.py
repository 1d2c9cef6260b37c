"""From a configuration to the parts of a training: data, segmenter, loss, optimizer."""

import inspect
import re

import keras

from keras_wsseg import callbacks, data, kernels, losses, models, optimizers
from keras_wsseg.arguments import check_number
from keras_wsseg.export.source import all_layers
from keras_wsseg.training.parts import as_part
from keras_wsseg.training.run_folder import load_model

_FROM_LABELS = ("labels", "simulated_clicks", "simulated_scribbles")


def build_training_data(config):
    """The training images with the annotation that the loss learns from.

    Those without annotation are left to losses that have something to say about them.
    """
    arguments = python_arguments(config.data["config"])
    if config.single_class and not config.negative_epochs:
        arguments["negatives"] = ()
    dataset = _made("data", getattr(data, config.data["class_name"]), **arguments)
    if not config.regularized:
        dataset.unlabeled = None
    return dataset


def build_validation_data(config, like):
    """The images to score on, with dense labels, read the way the training images are; None without."""
    if config.validation is None:
        return None
    arguments = python_arguments(config.validation["config"])
    training = python_arguments(config.data["config"])
    if arguments["values"] is None and training.get("tags", training.get("annotation")) in _FROM_LABELS:
        arguments["values"] = training["values"]
    return data.SegmentationFolder(
        config.root,
        **arguments,
        annotation="labels",
        num_classes=like.num_classes,
        class_names=like.class_names,
        color_mode="grayscale" if like.channels == 1 else "rgb",
        value_range=like.value_range,
    )


def build_model(config, like, started=True):
    """The untrained model that learns, around the segmenter that remains of it.

    Args:
        config: the `TrainingConfig`.
        like: has `num_classes`, `channels` and `value_range` of the data.
        started: whether the segmenter gets the weights of `config.start_from`, where there is one.

    Returns:
        A `WeaklySupervisedModel`, and the segmenter to save.
    """
    made = _network(config.segmenter, config, like)
    mining = isinstance(made, models.ReliableRegionMining)
    segmenter = made.segmenter if mining else made
    if config.mode == "resize":
        segmenter = models.with_input_size(segmenter, config.image_size)
    if started and config.start_from is not None:
        start_from(config.start_from, segmenter)
    if mining:
        return made, segmenter
    return models.WeaklySupervisedModel(segmenter, value_range=like.value_range), segmenter


def _network(part, config, like):
    arguments = python_arguments(part["config"])
    if isinstance(arguments.get("backbone"), dict):
        arguments["backbone"] = models.feature_extractor(_network(arguments["backbone"], config, like))
    if "frozen" in arguments and arguments["frozen"] is None and config.start_from is not None:
        # An encoder that was kept as it is in the training before is kept so in this one.
        if arguments.get("weights") is None:
            layers = all_layers(_load_start(config.start_from))
            inner = [layer for layer in layers if isinstance(layer, keras.Model)]
            arguments["frozen"] = any(not layer.trainable for layer in inner)
    arguments.update(channels=like.channels, value_range=like.value_range)
    return _made("segmenter", getattr(models, part["class_name"]), like.num_classes, **arguments)


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


def build_terms(config):
    """The terms of the loss, in their order."""
    return [
        _made("loss", getattr(losses, term["class_name"]), **python_arguments(term["config"]))
        for term in config.loss
    ]


def build_loss(config):
    """The loss, and the callbacks that lead its weights through the training."""
    terms = build_terms(config)
    if config.single_class:
        (loss,) = terms
        arguments = python_arguments(config.stages["config"])
        return loss, [_made("stages", callbacks.SingleClassStages, loss, **arguments)]
    schedule = []
    if config.warm_up is not None:
        schedule = [callbacks.WarmUp(terms[place], *config.warm_up_steps) for place in config.late_terms]
    return terms[0] if len(terms) == 1 else losses.LossSum(terms), schedule


def build_optimizer(config, steps, segmenter=None):
    """The optimizer with its learning rate, for a training of so many steps.

    Args:
        config: the `TrainingConfig`.
        steps: of the whole training.
        segmenter: whose encoder learns at `config.encoder_rate` of the rate.

    Raises:
        TypeError, ValueError: if an argument is none of the class, or there is no encoder to have a rate.
    """
    arguments = python_arguments(config.optimizer["config"])
    kind = getattr(keras.optimizers, config.optimizer["class_name"])
    if "learning_rate" not in arguments:
        arguments["learning_rate"] = inspect.signature(kind).parameters["learning_rate"].default
    check_number("optimizer.learning_rate", arguments["learning_rate"], low=0)
    if config.schedule is not None:
        schedule = python_arguments(config.schedule["config"])
        rate = {"initial_learning_rate": arguments["learning_rate"], "decay_steps": steps}
        decay = getattr(keras.optimizers.schedules, config.schedule["class_name"])
        arguments["learning_rate"] = _made("schedule", decay, **{**rate, **schedule})
    optimizer = _made("optimizer", kind, **arguments)
    if config.encoder_rate == 1 or segmenter is None:
        return optimizer
    # Paths do not tell that a layer is part of an encoder.
    paths = "|".join(re.escape(variable.path) for variable in _encoder_variables(segmenter))
    if not paths:
        raise ValueError(
            "encoder_rate must be 1 where the segmenter has no encoder that is trained. "
            f"Received: encoder_rate={config.encoder_rate:g}"
        )
    return optimizers.LearningRateMultipliers(optimizer, {f"^({paths})$": config.encoder_rate})


def _made(part, kind, *first, **arguments):
    try:
        return kind(*first, **arguments)
    except (AttributeError, TypeError, ValueError) as error:
        # Our own say what is wrong; Keras, and Python where a value is of an odd type, may not say where.
        if "Received" in str(error) and kind.__module__.startswith("keras_wsseg"):
            raise
        raise ValueError(f"{part} must be what {kind.__name__} takes: {error}") from error


def _encoder_variables(segmenter):
    models_inside = [layer for layer in all_layers(segmenter) if isinstance(layer, keras.Model)]
    encoders = [model for model in models_inside if not any(isinstance(x, keras.Model) for x in model.layers)]
    return [variable for encoder in encoders for variable in encoder.trainable_variables]


def python_arguments(config):
    """The arguments of a part as Python has them: tuples, numbers as keys, kernels as objects."""
    return {name: _argument(value) for name, value in config.items()}


def _argument(value):
    if isinstance(value, dict):
        if value.get("class_name") == "GaussianKernel":
            return kernels.GaussianKernel(**as_part(value)["config"])
        if "class_name" in value:
            return value
        return {int(key) if key.isdecimal() else key: _argument(one) for key, one in value.items()}
    return tuple(_argument(one) for one in value) if isinstance(value, list) else value
