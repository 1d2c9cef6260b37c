"""The parts of a training that are objects of a class: which classes there are, and what they take."""

import difflib

from keras_wsseg.training.signatures import parameters, public_names

DATA_SETS = ("SegmentationFolder", "TagFolder", "SingleClassFolder")
SEGMENTERS = ("UNet", "DeepLabV3Plus", "EncoderUNet", "UMobileNetV2", "VGG16Skip", "ReliableRegionMining")
LOSSES = tuple(
    name
    for name in sorted(public_names("losses"))
    if name.endswith(("Loss", "CrossEntropy")) and name != "SegmentationLoss"
)
OPTIMIZERS = ("Adam", "AdamW", "SGD", "RMSprop", "Lion", "Adafactor", "Nadam")
SCHEDULES = ("PolynomialDecay", "CosineDecay", "ExponentialDecay")

PARTS = {
    "data": ("data", DATA_SETS),
    "validation": ("data", ("SegmentationFolder",)),
    "segmenter": ("models", SEGMENTERS),
    "loss": ("losses", LOSSES),
    "optimizer": (None, OPTIMIZERS),
    "schedule": (None, SCHEDULES),
    "warm_up": ("callbacks", ("WarmUp",)),
    "stages": ("callbacks", ("SingleClassStages",)),
}
"""Room and classes by part; Keras' own classes check their arguments by themselves."""

OPTIONAL = ("validation", "schedule", "warm_up", "stages")

_SET_BY_TRAINING = {
    "data": ("names", "class_names", "num_classes"),
    "segmenter": ("num_classes", "channels", "value_range", "name"),
    "loss": ("from_logits", "reduction", "name", "dtype"),
    "warm_up": ("loss",),
    "stages": ("loss",),
}
_VALIDATION = ("split", "values")
_KERAS_HELPS = {"optimizer": {"learning_rate": "learning rate of the first step."}, "schedule": {}}


def arguments_of(part, class_name):
    """The arguments of a part that may be chosen.

    Args:
        part: one of `PARTS`.
        class_name: its class.

    Returns:
        `(dict of help by name, dict of default by name, whether further names are taken)`.

    Raises:
        ValueError: if the part cannot be of this class.
    """
    room, classes = PARTS[part]
    if class_name not in classes:
        raise ValueError(f"{part} must be one of {', '.join(classes)}. Received: {part}={class_name!r}")
    if room is None:
        return _KERAS_HELPS[part], {}, True
    found, further = parameters(room, class_name)
    if part == "validation":
        found = {name: found[name] for name in _VALIDATION}
    else:
        found = {name: one for name, one in found.items() if name not in _SET_BY_TRAINING[part]}
    helps = {name: one.help for name, one in found.items()}
    return helps, {name: plain(one.default) for name, one in found.items()}, further


def complete_part(part, given):
    """A part with all of its arguments, so that it means the same whatever a later default is.

    Args:
        part: one of `PARTS`.
        given: `{"class_name": ..., "config": {...}}`.

    Returns:
        the same with the defaults of the class for what is not given.

    Raises:
        ValueError: if there is no such class, or it has no such argument.

    Example:

    >>> complete_part("warm_up", {"class_name": "WarmUp", "config": {}})["config"]
    {'delay_steps': None, 'ramp_steps': 0}
    """
    class_name, config = given["class_name"], given["config"]
    _, defaults, further = arguments_of(part, class_name)
    if not further:
        check_names(f"{part}.", config, defaults, class_name)
    config = {name: _like(defaults.get(name), plain(value)) for name, value in {**defaults, **config}.items()}
    if part == "segmenter" and (
        isinstance(config.get("backbone"), dict) or config.get("backbone") in SEGMENTERS
    ):
        # A network in place of a backbone's name is a part of its own.
        config["backbone"] = complete_part("segmenter", as_part(config["backbone"]))
    return {"class_name": class_name, "config": config}


def _like(default, value):
    """One value where a list is wanted is a list of one, and a number where a text is wanted its digits."""
    if isinstance(default, list) and not isinstance(value, list):
        return [] if value is None else [value]
    return str(value) if isinstance(default, str) and isinstance(value, (int, float)) else value


def as_part(table):
    """`{"class_name": ..., "config": {...}}` out of that, of a table with both on one level, or of a name.

    Raises:
        ValueError: if it is none of these.

    Example:

    >>> as_part({"class_name": "UNet", "filters": [8, 16]})
    {'class_name': 'UNet', 'config': {'filters': [8, 16]}}
    """
    if isinstance(table, str):
        return {"class_name": table, "config": {}}
    if not isinstance(table, dict):
        raise ValueError(
            f"A part must be a class by its name, or a table of class_name and arguments. Received: {table!r}"
        )
    if set(table) == {"class_name", "config"}:
        return table
    config = {name: value for name, value in table.items() if name != "class_name"}
    return {"class_name": table.get("class_name"), "config": config}


def check_names(prefix, names, known, owner):
    """Raises `ValueError` where a name is not known, with the one that may have been meant."""
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, 3)
            raise ValueError(
                f"{owner} has no argument of that name, but {', '.join(close or known)}. "
                f"Received: {prefix}{name}"
            )


def plain(value):
    """`value` as JSON gives it back: lists in place of tuples, text as keys."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, (list, tuple)) else value
