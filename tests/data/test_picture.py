import numpy as np
import pytest
from PIL import Image

from keras_wsseg.data.picture import Picture, inspect_picture, read_picture


def saved(tmp_path, array, name="a.png", mode=None, **options):
    image = Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(tmp_path / name, **options)
    return tmp_path / name


RAMP = np.arange(48, dtype=np.uint8).reshape(6, 8)
COLOUR = np.stack([RAMP, RAMP + 50, RAMP + 100], axis=-1)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif"])
def test_eight_bits_as_they_are(tmp_path, name):
    grey, colour = saved(tmp_path, RAMP, "g" + name), saved(tmp_path, COLOUR, "c" + name)
    assert inspect_picture(grey) == Picture((6, 8), False, "uint8")
    assert inspect_picture(colour) == Picture((6, 8), True, "uint8")
    assert np.array_equal(read_picture(grey), RAMP[..., None])
    assert np.array_equal(read_picture(colour), COLOUR)
    assert np.array_equal(read_picture(grey, "rgb"), np.repeat(RAMP[..., None], 3, -1))
    np.testing.assert_allclose(read_picture(colour, "grey")[..., 0], COLOUR @ [0.299, 0.587, 0.114], atol=1)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bits_as_they_are(tmp_path, name):
    deep = RAMP.astype(np.uint16) * 1300
    path = saved(tmp_path, deep, name)
    assert inspect_picture(path) == Picture((6, 8), False, "uint16")
    read = read_picture(path)
    assert read.dtype == np.uint16 and read.dtype.isnative and np.array_equal(read[..., 0], deep)
    assert np.array_equal(read_picture(path, "rgb"), np.repeat(deep[..., None], 3, -1))
    assert np.array_equal(read_picture(path, "grey"), deep[..., None])


@pytest.mark.parametrize("orientation,turned", [(1, RAMP), (3, RAMP[::-1, ::-1]), (6, RAMP.T[:, ::-1])])
def test_photographs_are_turned_as_their_camera_says(tmp_path, orientation, turned):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, RAMP, exif=exif)
    assert inspect_picture(path) == Picture(turned.shape, False, "uint8")
    assert np.array_equal(read_picture(path)[..., 0], turned)
    assert np.array_equal(read_picture(path, "grey")[..., 0], turned)


def test_thirty_two_bit_integers_must_fit_sixteen(tmp_path):
    path = saved(tmp_path, RAMP.astype(np.int32) * 1000, "a.tif")
    assert inspect_picture(path).dtype == "uint16"
    assert read_picture(path).dtype == np.uint16 and read_picture(path)[5, 7, 0] == 47000
    path = saved(tmp_path, RAMP.astype(np.int32) * 10000, "b.tif")
    with pytest.raises(ValueError, match=r"b.tif' must have at most 16 bits.* values from 0 to 470000"):
        inspect_picture(path)


def test_floating_point(tmp_path):
    path = saved(tmp_path, RAMP.astype(np.float32) / 7, "a.tif")
    assert inspect_picture(path) == Picture((6, 8), False, "float32")
    assert np.array_equal(read_picture(path)[..., 0], RAMP.astype(np.float32) / 7)
    with pytest.raises(ValueError, match=r"a.tif' must lie within `value_range` \(0, 1\). .* from 0 to 6.7"):
        inspect_picture(path, (0, 1))
    path = saved(tmp_path, np.full((2, 2), np.nan, np.float32), "n.tif")
    with pytest.raises(ValueError, match=r"n.tif' must lie within"):
        inspect_picture(path, (0, 1))


@pytest.mark.parametrize(("mode", "channels"), [("1", 1), ("LA", 1), ("RGBA", 3), ("P", 3)])
def test_other_modes(tmp_path, mode, channels):
    path = saved(tmp_path, COLOUR if channels == 3 else RAMP, mode=mode)
    assert inspect_picture(path).colour == (channels == 3)
    read = read_picture(path)
    assert read.dtype == np.uint8 and read.shape == (6, 8, channels)
    if mode != "P":
        assert np.array_equal(
            read, COLOUR if channels == 3 else np.asarray(Image.open(path).convert("L"))[..., None]
        )


def test_damage_is_found_without_a_training(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    for name in ("a.jpg", "b.png"):
        path = saved(tmp_path, noise, name)
        assert inspect_picture(path).size == (64, 64)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        for function in (inspect_picture, read_picture):
            with pytest.raises(ValueError, match=rf"The picture '.*{name}' cannot be read. Received: "):
                function(path)
    (tmp_path / "c.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"c.png' cannot be read"):
        inspect_picture(tmp_path / "c.png")


def test_a_narrow_range_is_checked_on_eight_bits_too(tmp_path):
    path = saved(tmp_path, COLOUR)
    assert inspect_picture(path, (0, 147)).colour
    with pytest.raises(ValueError, match=r"within `value_range` \(0, 100\). Received: values from 0 to 147"):
        inspect_picture(path, (0, 100))
