import numpy as np
import pytest

from keras_wsseg.imaging.image_error import ImageError
from keras_wsseg.imaging.value_fit import fit_values


@pytest.mark.parametrize(
    ("value_range", "expected"),
    [((0, 255), [0, 51, 255]), ((0, 1), [0, 0.2, 1]), ((-1, 1), [-1, -0.6, 1]), ((0, 4095), [0, 819, 4095])],
)
def test_eight_bits_are_scaled_to_the_range(value_range, expected):
    found = fit_values(np.array([[0, 51, 255]], np.uint8), value_range)
    np.testing.assert_allclose(found, [expected], rtol=1e-6)
    assert found.min() >= value_range[0] and found.max() <= value_range[1]


@pytest.mark.parametrize(
    ("values", "dtype", "value_range"),
    [
        ([0, 4095], "uint16", (0, 4095)),
        ([0, 9], "uint16", (0, 255)),
        ([-1000, 3000], "int32", (-1024, 3071)),
        ([0, 0.5], "float32", (0, 1)),
        # No float32 is as large as these limits, and the nearest is beyond them.
        ([0, 0.1], "float32", (0, 0.1)),
        ([-2.1179, 2.64], "float32", (-2.1179, 2.64)),
    ],
)
def test_deeper_images_are_taken_as_they_are(values, dtype, value_range):
    array = np.array([values], dtype)
    assert fit_values(array, value_range) is array


@pytest.mark.parametrize(
    ("values", "dtype", "value_range", "text"),
    [
        ([0, 256], "uint16", (0, 255), "from 0 to 255, since it has more than 8 bits .* from 0 to 256$"),
        ([0, 2], "uint16", (0, 1), "from 0 to 1, since it has more than 8 bits .* from 0 to 2$"),
        ([0, 4096], "uint16", (0, 4095), "values from 0 to 4095, .*Received: values from 0 to 4096$"),
        ([-1, 9], "int32", (0, 4095), "values from 0 to 4095, .*Received: values from -1 to 9$"),
        ([0, 2], "float32", (0, 1), "values from 0 to 1, .*Received: values from 0 to 2$"),
        ([0, np.nan], "float32", (0, 1), "values from 0 to 1, .*Received: values from nan to nan$"),
    ],
)
def test_values_that_no_scale_brings_there_are_refused(values, dtype, value_range, text):
    with pytest.raises(ImageError, match=text):
        fit_values(np.array([values], dtype), value_range)
