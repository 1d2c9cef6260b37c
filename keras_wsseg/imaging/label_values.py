"""The meaning of values in label maps that are not class ids."""

from keras_wsseg.arguments import check_integer
from keras_wsseg.imaging.file_names import normal_name
from keras_wsseg.imaging.labels import MOST_CLASSES, PADDING, UNLABELED

_RESERVED = {"unlabeled": UNLABELED, "padding": PADDING}


def resolve_values(values, class_names, num_classes=None):
    """Resolves the ids that values stand for, and the names of the classes.

    Args:
        values: dict from a value in the files, a non-negative integer, to the name or number of a class, as a
            string, or to "unlabeled" or "padding"; or None.
        class_names: names of the classes, or None: those of `values` in their order, or numbers if it has
            only numbers.
        num_classes: number of classes, or None to infer it from the other arguments.

    Returns:
        `(ids, class_names)`: dict from value to id, or None if `values` is None.

    Raises:
        TypeError: `values` is not such a dict.
        ValueError: a value is invalid, a name is not a class, a class is named "unlabeled" or "padding", or
            without `class_names` the numbers have a gap or the number of names is not `num_classes`.

    Example:

    >>> resolve_values({0: "background", 255: "cell", 128: "unlabeled"}, None)
    ({0: 0, 255: 1, 128: 255}, ('background', 'cell'))
    """
    if class_names is not None:
        class_names = tuple(normal_name(str(name)) for name in class_names)
    if values is None:
        return None, class_names
    if (
        not isinstance(values, dict)
        or not values
        or not all(isinstance(name, str) for name in values.values())
    ):
        raise TypeError(
            "`values` must be a dict from values to names of classes: {0: 'background', 255: 'cell'}. "
            f"Received: values={values!r}"
        )
    for value in values:
        check_integer("keys of values", value, low=0)
    values = {value: normal_name(name) for value, name in values.items()}
    if class_names is None:
        class_names = _own_classes(values, num_classes)
    for name in class_names:
        if name in _RESERVED:
            raise ValueError(
                f"`class_names` must not have {' or '.join(_RESERVED)} with `values`, where these are not "
                f"classes. Received: {name!r}"
            )
    known = {str(number): number for number in range(len(class_names[:MOST_CLASSES]))}
    known |= {name: number for number, name in enumerate(class_names[:MOST_CLASSES])} | _RESERVED
    for name in values.values():
        if name not in known:
            raise ValueError(
                f"`values` must name classes, {', '.join(class_names)}, or unlabeled or padding. "
                f"Received: {name!r}"
            )
    return {int(value): known[name] for value, name in values.items()}, class_names


def _own_classes(values, num_classes):
    names = tuple(dict.fromkeys(name for name in values.values() if name not in _RESERVED))
    if all(name.isdecimal() for name in names):
        if num_classes is not None:
            return tuple(map(str, range(num_classes)))
        names = tuple(sorted(names, key=int))
    # Otherwise a 2 would silently become class 1, since no other class is known to precede it.
    if any(name.isdecimal() and int(name) != place for place, name in enumerate(names)):
        raise ValueError(
            "A number in `values` must be the index of its class, 0, 1, 2 … without a gap, where there are "
            f"no `class_names`. Received: values={values!r}"
        )
    if num_classes not in (None, len(names)):
        raise ValueError(
            f"`num_classes` must be the number of classes that `values` names, {len(names)}, where there are "
            f"no `class_names`. Received: num_classes={num_classes!r}"
        )
    return names


def parse_values(texts):
    """Parses `values` from the command line.

    Args:
        texts: sequence of strings such as `"255=cell"`; empty for None.

    Returns:
        dict from value to name, or None.

    Raises:
        ValueError: a string has another form, or a value occurs twice.

    Example:

    >>> parse_values(("0=background", "255=cell"))
    {0: 'background', 255: 'cell'}
    """
    values = {}
    for text in texts:
        value, equals, name = text.partition("=")
        if not equals or not value.strip().isdecimal() or not name.strip() or int(value) in values:
            raise ValueError(
                "values must be of the form 0=background,255=cell, each value once. "
                f"Received: {','.join(texts)}"
            )
        values[int(value)] = name.strip()
    return values or None
