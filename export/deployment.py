"""The computation of a deployed graph and its inputs and outputs, the same in Keras and in the file."""

import dataclasses

from keras import ops

from keras_wsseg.export.source import ImageShape
from keras_wsseg.ops.class_scores import class_logits, resized_class_logits
from keras_wsseg.ops.resize import resize_bilinear


@dataclasses.dataclass(frozen=True)
class Deployment:
    """A segmenter with its post-processing in a deployed file.

    Args:
        segmenter: `keras.Model` from image to logits or probabilities.
        resize: whether the logits must be resized to the image.
        crf: `layers.MeanFieldCRF` that aligns the borders with those of the image, or None.
        flip: whether to average over the mirrored image too.
        scales: factors of the image size whose probabilities are averaged.
        probabilities: whether the segmenter outputs probabilities.
    """

    segmenter: object
    resize: bool = False
    crf: object = None
    flip: bool = False
    scales: tuple = (1.0,)
    probabilities: bool = False

    @property
    def augmented(self):
        """Whether probabilities are averaged over several views or another scale."""
        return self.flip or tuple(self.scales) != (1.0,)

    def logits(self, image):
        """Logits of the whole deployment at the size of the image.

        Args:
            image: `(batch, height, width, channels)` float32 tensor, of static or dynamic size.

        Returns:
            `(batch, height, width, max(classes, 2))` float32; with several views of the image the logarithm
            of their mean probability.
        """
        size = ops.shape(image)[1:3]
        if not self.augmented:
            prediction = self.segmenter(image, training=False)
            logits = self._class_logits(prediction, size if self.resize else None)
        else:
            views = [self._view(image, size, scale, flipped) for scale, flipped in self._views()]
            # The smallest probability that keeps its digits: the logit stays finite where all views exclude a
            # class.
            logits = ops.log(ops.maximum(sum(views[1:], views[0]) / len(views), 1e-30))
        return logits if self.crf is None else self.crf([logits, image])

    def _views(self):
        return [(scale, flipped) for scale in self.scales for flipped in (False, True)[: 1 + self.flip]]

    def _view(self, image, size, scale, flipped):
        if scale != 1:
            image = resize_bilinear(image, [_scaled(pixels, scale) for pixels in size])
        if flipped:
            image = image[:, :, ::-1]
        prediction = self.segmenter(image, training=False)
        if flipped:
            prediction = prediction[:, :, ::-1]
        return softmax(self._class_logits(prediction, size if self.resize or scale != 1 else None))

    def _class_logits(self, prediction, size):
        if size is None:
            return class_logits(prediction, self.probabilities)
        return resized_class_logits(prediction, size, self.probabilities)


@dataclasses.dataclass(frozen=True)
class GraphForm:
    """The inputs and outputs of a graph.

    Args:
        shape: `ImageShape` of its input.
        input_dtype: `float32` or `uint8`.
        byte_classes: whether the class map is uint8 rather than int32.
    """

    shape: ImageShape
    input_dtype: str = "float32"
    byte_classes: bool = True


def softmax(logits):
    """Softmax written out: ONNX Runtime's Softmax takes a third of a small network's total time.

    Args:
        logits: `(batch, height, width, classes)`.

    Returns:
        The same shape; the sum over the classes is 1.
    """
    weights = ops.exp(logits - ops.max(logits, axis=-1, keepdims=True))
    return weights / ops.sum(weights, axis=-1, keepdims=True)


def _scaled(pixels, scale):
    # In hundredths, so that the graph and Python round identically.
    scaled = (pixels * round(scale * 100) + 50) // 100
    return max(1, scaled) if isinstance(scaled, int) else ops.maximum(1, scaled)
