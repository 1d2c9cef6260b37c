"""Mining of reliable labels from class activation maps, as a layer."""

import keras
from keras import ops

from keras_wsseg.arguments import check_value_range
from keras_wsseg.layers.class_activation_map import check_inputs
from keras_wsseg.layers.crf_preset import PUBLISHED_COUPLING, crf_preset
from keras_wsseg.layers.mean_field_crf import MeanFieldCRF
from keras_wsseg.ops.reliable_regions import (
    agreeing_labels,
    check_keep_fraction,
    check_maps,
    confident_labels,
    present_classes,
)

IMPOSSIBLE_LOGIT = -1e4
"""Logit of an impossible class: its `exp` is 0, and float16 can represent it."""


@keras.saving.register_keras_serializable("keras_wsseg")
class ReliableRegions(keras.layers.Layer):
    r"""Derives labels from class activation maps where the maps are confident and a CRF on the image agrees.

    A classifier's maps are blobs: correct at their center, wrong at object boundaries. Doubtful pixels are
    left unlabeled, so that a segmenter can be trained with a partial cross entropy on the labels and an
    image-based regularizer elsewhere. With `P` the maps,

    `I_cam = argmax P` for the `keep_fraction` of each class's pixels where `P` is largest, else 255,
    `I_crf = argmax` of a conditional random field on `P` (unary `-log max(P, 1e-7)`) and the image,
    `label = I_cam` where `I_cam = I_crf`, else 255.

    Classes without a tag appear in neither. Everything is computed in the model's graph, including at dynamic
    sizes, and no gradient flows through it.

    This is the rule as printed in the paper. The code published with it uses a different one, which is not
    implemented here: two CRFs, on maps with `background_exponent` 4 and 32, and a label where the probability
    of the CRF is at least 0.8 and the map is above 0.1.

    Args:
        keep_fraction: minimum fraction of the pixels that `argmax` assigns to a class in an image that are
            kept, within (0, 1]. All pixels that tie with the last one kept are kept: see
            `ops.confident_labels`.
        crf: `"dense"`, the published CRF, fully connected with 10 iterations; `"windowed"`, that of
            `crf_preset` with the published coupling and 10 iterations, several times as fast; a
            `MeanFieldCRF` with Potts compatibility, or its config from
            `keras.saving.serialize_keras_object`; or None: then `I_cam` is the label.
        value_range: the values of black and white in the image, for a CRF given by name; a `MeanFieldCRF`
            has its own.
        **kwargs: passed to `keras.layers.Layer`.

    Attributes:
        keep_fraction: the argument.
        crf: the `MeanFieldCRF`, or None.

    Call arguments:
        inputs: `[maps, image, tags]` or `[maps, image, tags, inside]`: `(batch, height, width, classes)`
            within [0, 1], such as the output of `ClassActivationMap`; the image of the same size,
            `(batch, height, width, channels)` in the value range; `(batch, classes)` of 0 and 1, the classes
            that each image contains, always including the background in column 0; and
            `(batch, height, width)`, 1 for pixels of the image and 0 for those outside it, which are not
            labeled and do not influence the labels of other pixels.

    Returns:
        `(batch, height, width)`, int32: 0 to classes - 1 for a class, 255 for unlabeled pixels, 254 outside
        the image.

    Raises:
        TypeError: if `crf` is none of these.
        ValueError: if an argument is out of range, or the shapes do not match.

    Example:

    >>> import numpy as np
    >>> object_map = np.array([0.0, 0.1, 0.2, 0.7, 1.0], "float32").reshape(1, 1, 5, 1)
    >>> maps = np.concatenate([(1 - object_map) ** 4, object_map], axis=-1)
    >>> image = np.array([9, 9, 9, 9, 200], "float32").reshape(1, 1, 5, 1)
    >>> layer = ReliableRegions(keep_fraction=1.0, crf=MeanFieldCRF(radius=2))
    >>> np.array(layer([maps, image, np.ones((1, 2))])).tolist()  # the fourth looks like background
    [[[0, 0, 0, 255, 1]]]

    Source: Zhang et al. 2020, "Reliability Does Matter: An End-to-End Weakly Supervised Semantic Segmentation
    Approach", arXiv:1911.08039.
    """

    def __init__(self, keep_fraction=0.4, crf="dense", value_range=(0, 255), **kwargs):
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        check_keep_fraction(keep_fraction)
        self.keep_fraction = float(keep_fraction)
        self.value_range = check_value_range(value_range)
        self._named = crf if isinstance(crf, str) else None
        self.crf = _parse(crf, self.value_range)

    def build(self, input_shape):
        check_inputs(input_shape, ("maps", "image", "tags"), "inside")
        if self.crf is not None:
            self.crf.build(list(input_shape[:2]))

    def call(self, inputs):
        maps, image, tags, *inside = (ops.stop_gradient(ops.convert_to_tensor(x)) for x in inputs)
        inside = inside[0] if inside else None
        check_maps(maps, tags, inside)
        maps = ops.cast(maps, "float32")
        labels = confident_labels(maps, self.keep_fraction, inside, tags)
        if self.crf is None:
            return labels
        return agreeing_labels(labels, self._refined(maps, image, tags, inside))

    def _refined(self, maps, image, tags, inside):
        """The classes that the CRF assigns to the pixels; those outside get an additional class."""
        present = present_classes(tags)[:, None, None]
        logits = ops.log(ops.maximum(maps, keras.config.epsilon()))
        logits = ops.where(present, logits, IMPOSSIBLE_LOGIT)
        if inside is not None:
            # Pixels outside have an extra class with certainty, which is impossible for those inside, so
            # they do not support any class of their neighbors. (Only weights far above the published ones
            # could assign it to a pixel inside, which then is 255.)
            inside = ops.cast(inside, "float32")[..., None] > 0.5
            logits = ops.where(inside, logits, IMPOSSIBLE_LOGIT)
            apart = ops.where(inside, IMPOSSIBLE_LOGIT, ops.zeros_like(logits[..., :1]))
            logits = ops.concatenate([logits, apart], axis=-1)
        given = logits if self.crf.from_logits else ops.softmax(logits, axis=-1)
        return ops.argmax(self.crf([given, image]), axis=-1)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[0][:3])

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(self.compute_output_shape([x.shape for x in inputs]), dtype="int32")

    def get_config(self):
        crf = self._named
        if crf is None and self.crf is not None:
            crf = keras.saving.serialize_keras_object(self.crf)
        config = {"keep_fraction": self.keep_fraction, "crf": crf, "value_range": self.value_range}
        return {**super().get_config(), **config}


def _parse(crf, value_range):
    """The layer specified by the argument, or None."""
    if crf is None:
        return None
    if isinstance(crf, str):
        settings = {"iterations": 10, "from_logits": False, "dtype": "float32", "name": "crf"}
        if crf == "dense":
            return MeanFieldCRF(value_range=value_range, **settings)
        return crf_preset(crf, value_range, coupling=PUBLISHED_COUPLING, **settings)
    if isinstance(crf, dict):
        crf = keras.saving.deserialize_keras_object(crf)
    if not isinstance(crf, MeanFieldCRF):
        raise TypeError(
            "crf must be 'dense', 'windowed', a MeanFieldCRF, its serialized config or None. "
            f"Received: crf={crf!r}"
        )
    if crf.compatibility != "potts":
        raise ValueError(
            "crf must have compatibility 'potts', since pixels outside the image form an extra class. "
            f"Received: a MeanFieldCRF with compatibility={crf.compatibility!r}"
        )
    return crf
