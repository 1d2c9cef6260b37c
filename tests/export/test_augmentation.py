import pytest

from keras_wsseg.export.augmentation import describe_augmentation, read_augmentation


def test_what_can_be_asked_for():
    assert read_augmentation(None) == (False, (1.0,))
    assert read_augmentation({"flip": True}) == (True, (1.0,))
    assert read_augmentation({"scales": [0.75, 1, 1.25]}) == (False, (0.75, 1.0, 1.25))
    assert describe_augmentation(True, (0.75, 1.0)) == "mean probability at scales 0.75, 1, each mirrored too"


@pytest.mark.parametrize(
    "tta",
    [
        "flip",
        {},
        {"mirror": True},
        {"flip": 1},
        {"scales": 0.5},
        {"scales": ()},
        {"scales": (1, 1)},
        {"scales": (0.1,)},
        {"scales": (5,)},
        {"scales": (0.333,)},
        {"scales": ("1",)},
        {"scales": (0.5, True)},
    ],
)
def test_what_cannot(tta):
    with pytest.raises(ValueError, match=r"`tta` must be None or a dict such as .* Received: tta="):
        read_augmentation(tta)


@pytest.mark.parametrize("tta", [{"flip": False}, {"scales": (1,)}, {"flip": False, "scales": (1.0,)}])
def test_an_augmentation_that_does_nothing_is_told(tta):
    with pytest.raises(ValueError, match="`tta` must flip or scale, or be None"):
        read_augmentation(tta)
