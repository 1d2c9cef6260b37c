"""What a deployed graph computes and the form it takes, the same in Keras and in the file."""

import dataclasses

from keras import ops

from keras_wsseg.export.source import ImageShape
from keras_wsseg.ops.class_scores import class_logits, resized_class_logits
from keras_wsseg.ops.resize import resize_bilinear


@dataclasses.dataclass(frozen=True)
class Deployment:
    """A segmenter with all that comes behind it in a deployed file.

    Args:
        segmenter: `keras.Model` from image to logits or probabilities.
        resize: whether the logits must be brought to the size of the image.
        crf: `layers.MeanFieldCRF` that moves the borders to those of the image, or None.
        flip: whether the mirrored image has a say too.
        scales: sizes of the image, 1 for its own, whose probabilities are averaged.
        probabilities: whether the segmenter gives probabilities.
    """

    segmenter: object
    resize: bool = False
    crf: object = None
    flip: bool = False
    scales: tuple = (1.0,)
    probabilities: bool = False

    @property
    def augmented(self):
        """Whether more than the image as it is has a say."""
        return self.flip or tuple(self.scales) != (1.0,)

    def logits(self, image):
        """Logits of the whole deployment at the size of the image.

        Args:
            image: `(batch, height, width, channels)` float32 tensor, its size static or dynamic.

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
            # The smallest probability that keeps its digits: a class that no view knows stays finite.
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
    """What a graph takes and gives.

    Args:
        shape: `ImageShape` that it takes.
        input_dtype: `float32` or `uint8`.
        byte_classes: whether the class map is uint8 rather than int32.
    """

    shape: ImageShape
    input_dtype: str = "float32"
    byte_classes: bool = True


def softmax(logits):
    """Probabilities by the definition: ONNX Runtime's Softmax takes a third of a small network's whole time.

    Args:
        logits: `(batch, height, width, classes)`.

    Returns:
        The same shape; the sum over the classes is 1.
    """
    weights = ops.exp(logits - ops.max(logits, axis=-1, keepdims=True))
    return weights / ops.sum(weights, axis=-1, keepdims=True)


def _scaled(pixels, scale):
    # In hundredths, so that a graph and Python round alike.
    scaled = (pixels * round(scale * 100) + 50) // 100
    return max(1, scaled) if isinstance(scaled, int) else ops.maximum(1, scaled)
