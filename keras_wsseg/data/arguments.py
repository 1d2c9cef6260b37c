"""Validation of arguments that several functions share."""

from keras_wsseg.arguments import check_integer
from keras_wsseg.imaging.file_names import normal_name
from keras_wsseg.imaging.labels import MOST_CLASSES


def check_further_batches(batch_size, **counts):
    """The number of images left in a batch besides further images.

    Args:
        batch_size: images per batch.
        counts: number of images of each further kind, by argument name.

    Returns:
        the number left, at least one.

    Raises:
        ValueError: a count is not an integer, or leaves no image.

    Example:

    >>> check_further_batches(8, unlabeled_batch=3, negative_batch=4)
    1
    """
    left = batch_size
    for name, count in counts.items():
        left -= check_integer(name, count, low=0, high=left - 1)
    return left


def size_pair(image_size):
    """`image_size`, a number or a pair, as `(height, width)`."""
    try:
        pair = tuple(image_size)
    except TypeError:
        pair = (image_size, image_size)
    try:
        height, width = (check_integer("image_size", side, low=1) for side in pair)
    except ValueError as error:
        raise ValueError(
            "`image_size` must be a positive integer or a pair (height, width) of them. "
            f"Received: image_size={image_size!r}"
        ) from error
    return height, width


def resolve_classes(num_classes, class_names, largest):
    """Completes the number and names of the classes.

    Args:
        num_classes: a number or None.
        class_names: a sequence of names or None.
        largest: the largest class id in the labels.

    Returns:
        `(num_classes, class_names)`, the names in normalized form.

    Raises:
        ValueError: the two disagree, the number is not from 1 to 254, or a name occurs twice.

    Example:

    >>> resolve_classes(None, None, 1)
    (2, ('0', '1'))
    """
    if num_classes is None:
        num_classes = largest + 1 if class_names is None else len(class_names)
    num_classes = check_integer("num_classes", num_classes, low=1, high=MOST_CLASSES)
    if class_names is None:
        class_names = range(num_classes)
    if len(class_names) != num_classes:
        raise ValueError(
            f"`class_names` must name all {num_classes} classes. Received: {len(class_names)} names"
        )
    names = tuple(normal_name(str(name)) for name in class_names)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"`class_names` must be distinct names. Received: {twice!r} twice")
    return num_classes, names
