"""What a segmenter gives, looked at before the first step."""

import keras


def check_segmenter(segmenter):
    """Refuses a model that is no segmenter, as far as its shapes tell.

    Args:
        segmenter: `keras.Model`; one that is subclassed or not built yet says nothing before its first step.

    Raises:
        ValueError: if it gives anything but one `(batch, height, width, classes)`, channels last.
    """
    outputs = getattr(segmenter, "outputs", None)
    if outputs:
        check_prediction(outputs if len(outputs) > 1 else outputs[0])


def check_prediction(prediction):
    """Refuses what is no prediction of a segmenter.

    Args:
        prediction: tensor, symbolic or not, or whatever else a model gave.

    Raises:
        ValueError: if it is anything but one `(batch, height, width, classes)` of a known number of classes.
    """
    shape = getattr(prediction, "shape", None)
    if shape is not None and len(shape) == 4 and shape[-1] is not None:
        return
    if shape is not None:
        hint, received = "", f"shape {tuple(shape)}"
    else:
        parts = keras.tree.flatten(prediction)
        hint = "; of several take one by keras.Model(model.inputs, model.outputs[0])"
        received = (
            f"{type(prediction).__name__} of shapes {', '.join(str(tuple(part.shape)) for part in parts)}"
        )
    raise ValueError(
        f"segmenter must give one prediction (batch, height, width, classes), channels last{hint}. "
        f"Received: {received}"
    )
