import numpy as np
import pytest

from keras_wsseg.export.input_images import to_batch


def test_images_keep_their_type_until_they_are_run():
    for dtype in ("uint8", "uint16", "float64", "bool"):
        image = np.zeros((4, 5, 3), dtype)
        batch, is_batch = to_batch(image, 3, (0, 255), np.uint8)
        assert batch.dtype == dtype and batch.shape == (1, 4, 5, 3) and not is_batch
        assert np.shares_memory(batch, image)
    assert to_batch(np.zeros((2, 4, 5, 1)), 1, (0, 255))[1]
    assert to_batch(np.zeros((4, 5)), 1, (0, 255))[0].shape == (1, 4, 5, 1)


def test_bytes_take_whole_numbers_of_any_kind():
    for image in (np.array([[0, 255]], "int64"), np.array([[0.0, 255.0]]), np.array([[2, 3]], "float16")):
        to_batch(image, 1, (0, 255), np.uint8)
    with pytest.raises(
        ValueError, match=r"integer values .* takes uint8\. Received: dtype=float64 with fractions"
    ):
        to_batch(np.array([[0.0, 1.5]]), 1, (0, 255), np.uint8)
    for wrong in (-1, 256, 255.0001, np.nan, np.inf):
        with pytest.raises(ValueError, match="between 0 and 255 for this segmenter. Received: values from"):
            to_batch(np.array([[wrong, 3]]), 1, (0, 255), np.uint8)
