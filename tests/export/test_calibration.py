import numpy as np
import pytest

from keras_wsseg.export.calibration import LARGEST_SIDE, CalibrationImages
from keras_wsseg.export.source import ImageShape
from keras_wsseg.visualization import write_png

ANY = ImageShape(None, None, None, 3)


def noise(height=9, width=11):
    return np.random.default_rng(height).integers(0, 256, (height, width, 3)).astype("uint8")


def folder_of(path, count):
    for number in range(count):
        write_png(path / f"p{number}.png", noise(4 + number, 6))
    (path / "notes.txt").write_text("no image")
    return path


def test_a_folder_gives_its_images_as_they_are(tmp_path):
    images = CalibrationImages(str(folder_of(tmp_path, 3)))
    batches = list(images.batches(ANY, (0, 255), "uint8"))
    assert [batch.shape for batch in batches] == [(1, 4, 6, 3), (1, 5, 6, 3), (1, 6, 6, 3)]
    np.testing.assert_array_equal(batches[2][0], noise(6, 6))
    assert batches[0].dtype == "uint8"


def test_as_many_as_asked_for_evenly_over_all(tmp_path):
    arrays = [np.full((2, 2, 3), number, "uint8") for number in range(9)]
    images = CalibrationImages(arrays, 3)
    assert len(images) == 3
    assert [int(batch.max()) for batch in images.batches(ANY, (0, 255), "float32")] == [0, 4, 8]
    assert len(CalibrationImages(arrays, 100)) == 9
    assert len(CalibrationImages(np.stack(arrays)).few(4)) == 4


def test_images_are_brought_to_a_fixed_size_and_batch():
    shape = ImageShape(2, 8, 6, 3)
    flat = [np.full((20, 30, 3), 77, "uint8"), noise(8, 6)]
    first, second = CalibrationImages(flat).batches(shape, (0, 255), "uint8")
    assert first.shape == second.shape == (2, 8, 6, 3)
    assert (first == 77).all()
    np.testing.assert_array_equal(second, np.stack([noise(8, 6)] * 2))


def test_of_large_images_the_middle_is_taken():
    large = np.zeros((LARGEST_SIDE + 200, 10, 3), "uint8")
    large[100:-100] = 5
    (batch,) = CalibrationImages([large]).batches(ANY, (0, 255), "uint8")
    assert batch.shape == (1, LARGEST_SIDE, 10, 3) and (batch == 5).all()


def test_bad_images_are_refused(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"`calibration` must be an existing folder .* Received: .*no'"
    ):
        CalibrationImages(tmp_path / "no")
    with pytest.raises(ValueError, match="`calibration` must be a folder that contains images"):
        CalibrationImages(tmp_path)
    for wrong in ([], 7, np.zeros((4, 4, 3))):
        with pytest.raises(TypeError, match="`calibration` must be a folder of images, a list of paths"):
            CalibrationImages(wrong)
    for wrong in (0, True, 1.5):
        with pytest.raises(ValueError, match="`calibration_images` must be an integer of at least 1"):
            CalibrationImages([noise()], wrong)
    gray = CalibrationImages([noise()[..., 0]])
    with pytest.raises(ValueError, match=r"`calibration` must hold images that fit .* an array: .*RGB"):
        list(gray.batches(ANY, (0, 255), "float32"))
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"`calibration` must hold images .*broken\.png"):
        list(CalibrationImages(tmp_path).batches(ANY, (0, 255), "float32"))
