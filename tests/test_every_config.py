"""Every argument of a constructor comes back out of `get_config`: else a saved object loses it silently."""

import inspect

import keras
import pytest

from keras_wsseg import layers, losses, metrics
from keras_wsseg.kernels import GaussianKernel
from keras_wsseg.optimizers import LearningRateMultipliers


def classifier():
    return keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(2, 1)])


# What a class cannot be made without, or leaves out where it is None.
NEEDED = {
    "ClassActivationMap": lambda: {"scores": classifier()},
    "CropToStride": lambda: {"stride": 2},
    "Dice": lambda: {"num_classes": 3},
    "GaussianKernel": lambda: {"sigma_xy": 3.0, "sigma_rgb": 0.1},
    "KernelCutLoss": lambda: {"cut_sigma_xy": 3.0, "cut_sigma_rgb": 0.1},
    "LearningRateMultipliers": lambda: {"optimizer": keras.optimizers.SGD(), "multipliers": {"a": 1.0}},
    "LossSum": lambda: {"losses": [losses.PartialCrossEntropy()]},
    "MeanIoU": lambda: {"num_classes": 3},
    "PadToMultiple": lambda: {"multiple": 2},
    "ResizeTo": lambda: {"height": 4, "width": 6},
}
ROOMS = [getattr(room, name) for room in (losses, layers, metrics) for name in room.__all__]
# They leave their arguments to the classes that are made of them.
BASES = {"SegmentationLoss", "ConfusionMetric"}
CLASSES = [
    thing
    for thing in ROOMS
    if inspect.isclass(thing) and hasattr(thing, "get_config") and thing.__name__ not in BASES
]


@pytest.mark.parametrize(
    "kind", sorted({*CLASSES, GaussianKernel, LearningRateMultipliers}, key=lambda kind: kind.__name__)
)
def test_every_argument_is_in_the_configuration(kind):
    made = kind(**NEEDED.get(kind.__name__, dict)())
    parameters = inspect.signature(kind.__init__).parameters.values()
    named = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY or p.kind is p.POSITIONAL_OR_KEYWORD}
    assert named - {"self"} <= set(made.get_config())
