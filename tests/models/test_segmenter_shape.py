import keras
import numpy as np
import pytest

from keras_wsseg.losses import PartialCrossEntropy
from keras_wsseg.models import WeaklySupervisedModel
from keras_wsseg.models.segmenter_shape import check_prediction, check_segmenter

IMAGE = keras.Input((32, 32, 3))
LOGITS = keras.layers.Conv2D(2, 1)(IMAGE)


def functional(outputs):
    return keras.Model(IMAGE, outputs)


class Several(keras.Model):
    def __init__(self, kind):
        super().__init__()
        self.conv, self.kind = keras.layers.Conv2D(2, 1), kind

    def call(self, x):
        logits = self.conv(x)
        return {"a": logits, "b": logits} if self.kind is dict else self.kind([logits, logits])


def test_segmenters_pass():
    check_segmenter(functional(LOGITS))
    check_segmenter(keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(2, 1)]))
    check_segmenter(keras.Sequential([keras.layers.Conv2D(2, 1)]))
    check_segmenter(Several(list))
    check_prediction(np.zeros((1, 4, 4, 2)))


@pytest.mark.parametrize(
    "outputs,words",
    [
        (keras.layers.Reshape((1024, 2))(LOGITS), r"channels last\. Received: shape \(None, 1024, 2\)"),
        (
            [LOGITS, LOGITS],
            r"several outputs by .*\. Received: list of shapes \(None, 32, 32, 2\), \(None, 32, 32, 2\)",
        ),
        (keras.layers.GlobalAveragePooling2D()(LOGITS), r"Received: shape \(None, 2\)"),
    ],
)
def test_other_outputs_are_refused_before_the_first_step(outputs, words):
    with pytest.raises(ValueError, match=f"^segmenter must output one prediction .*{words}$"):
        WeaklySupervisedModel(functional(outputs))


def test_channels_first_is_refused_before_the_first_step():
    image = keras.Input((3, None, None))
    first = keras.layers.Conv2D(2, 1, data_format="channels_first")
    with pytest.raises(ValueError, match=r"channels last\. Received: shape \(None, 2, None, None\)"):
        WeaklySupervisedModel(keras.Model(image, first(image)))


@pytest.mark.parametrize("kind", [list, tuple, dict])
def test_a_subclassed_model_tells_at_its_first_step(kind):
    model = WeaklySupervisedModel(Several(kind))
    model.compile("sgd", loss=PartialCrossEntropy(), run_eagerly=True)
    with pytest.raises(
        ValueError, match=rf"one prediction .*Received: {kind.__name__} of shapes \(2, 8, 8, 2\), "
    ):
        model.fit(np.zeros((2, 8, 8, 3), "float32"), np.zeros((2, 8, 8), "int32"), verbose=0)
