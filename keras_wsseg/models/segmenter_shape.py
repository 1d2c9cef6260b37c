"""Validation of a segmenter's output shape before the first step."""

import keras


def check_segmenter(segmenter):
    """Validates that a model is a segmenter, as far as static shapes allow.

    Args:
        segmenter: `keras.Model`; if subclassed or not built yet, it is checked only at its first step.

    Raises:
        ValueError: if its output is not a single `(batch, height, width, classes)`, channels last.
    """
    outputs = getattr(segmenter, "outputs", None)
    if outputs:
        check_prediction(outputs if len(outputs) > 1 else outputs[0])


def check_prediction(prediction):
    """Validates that the output of a model is the prediction of a segmenter.

    Args:
        prediction: tensor, symbolic or not, or any other output of a model.

    Raises:
        ValueError: if it is not a single `(batch, height, width, classes)` with a static number of classes.
    """
    shape = getattr(prediction, "shape", None)
    if shape is not None and len(shape) == 4 and shape[-1] is not None:
        return
    if shape is not None:
        hint, received = "", f"shape {tuple(shape)}"
    else:
        parts = keras.tree.flatten(prediction)
        hint = "; select one of several outputs by keras.Model(model.inputs, model.outputs[0])"
        received = (
            f"{type(prediction).__name__} of shapes {', '.join(str(tuple(part.shape)) for part in parts)}"
        )
    raise ValueError(
        f"segmenter must output one prediction (batch, height, width, classes), channels last{hint}. "
        f"Received: {received}"
    )
