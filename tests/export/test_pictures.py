import warnings

import numpy as np
import pytest
from PIL import Image

from keras_wsseg.export.pictures import read_picture, to_batch


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype="uint8")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_as_viewers_turn_it(tmp_path, orientation):
    seen = pixels(6, 10, 3)
    stored = {
        1: seen,
        2: seen[:, ::-1],
        3: seen[::-1, ::-1],
        4: seen[::-1],
        5: seen.transpose(1, 0, 2),
        6: np.rot90(seen),
        7: np.rot90(seen, 2).transpose(1, 0, 2),
        8: np.rot90(seen, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), seen)


@pytest.mark.parametrize(
    "dtype,value", [("uint8", 200), ("uint16", 40_000), ("int32", 70_000), ("float32", 0.25)]
)
def test_grey_keeps_its_depth(tmp_path, dtype, value):
    grey = np.full((4, 5), value, dtype)
    Image.fromarray(grey).save(tmp_path / "a.tiff")
    read = read_picture(tmp_path / "a.tiff")
    assert read.dtype.kind == grey.dtype.kind
    np.testing.assert_array_equal(read, grey)


def test_inks_palettes_and_opaque_layers_become_rgb(tmp_path):
    colours = Image.fromarray(pixels(8, 8, 3))
    for number, picture in enumerate((colours.convert("CMYK"), colours.quantize(7), colours.convert("RGBA"))):
        path = tmp_path / f"{number}.tiff"
        picture.save(path)
        np.testing.assert_array_equal(read_picture(path), np.asarray(picture.convert("RGB")))


def test_transparent_pixels_are_refused(tmp_path):
    glass = pixels(4, 4, 4)
    glass[..., 3] = 254
    Image.fromarray(glass).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"must be opaque.*a\.png' with transparent pixels"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.tiff", "a.webp"])
def test_several_frames_are_refused_rather_than_all_but_one_forgotten(tmp_path, name):
    frames = [Image.fromarray(pixels(8, 8, 3, seed=seed)) for seed in range(3)]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match=r"must hold one picture.*with several"):
        read_picture(tmp_path / name)


def test_a_preview_beside_a_photograph_is_not_looked_at(tmp_path):
    photograph, preview = (Image.fromarray(pixels(size, size, 3)) for size in (16, 8))
    photograph.save(tmp_path / "a.mpo", save_all=True, append_images=[preview])
    assert read_picture(tmp_path / "a.mpo").shape == (16, 16, 3)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("name", ["ä.png", "a.jpg", "a.gif", "a.tiff", "a.bmp", "a.webp"])
def test_a_cut_or_empty_file_is_one_sentence(tmp_path, name):
    path = tmp_path / name
    Image.fromarray(pixels(64, 64, 3)).save(path)
    content = path.read_bytes()
    for length in (0, 1, 20, len(content) // 3, len(content) // 2):
        path.write_bytes(content[:length])
        with pytest.raises(
            ValueError, match=rf"`image` must be a readable picture\. Received: .*{name}"
        ) as caught:
            read_picture(path)
        assert "\n" not in str(caught.value)


def test_garbage_in_a_picture_never_says_anything_else(tmp_path):
    generator = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a.jpg", "a.png", "a.gif", "a.tiff", "a.webp", "a.bmp"):
        path = tmp_path / name
        Image.fromarray(pixels(32, 32, 3)).save(path, exif=exif)
        content = np.frombuffer(path.read_bytes(), "uint8")
        for _ in range(60):
            broken = content.copy()
            broken[generator.integers(0, min(len(broken), 300), 4)] = generator.integers(0, 256, 4)
            path.write_bytes(broken.tobytes())
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    read_picture(path)
                except ValueError as error:
                    assert str(error).startswith("`image` must ")


def test_a_folder_and_a_missing_file_are_told(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere.png"):
        with pytest.raises(FileNotFoundError, match=r"`image` must be an existing file\. Received: image="):
            read_picture(path)


def test_pictures_keep_their_type_until_they_are_run():
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
        ValueError, match=r"whole values .* takes uint8\. Received: dtype=float64 with fractions"
    ):
        to_batch(np.array([[0.0, 1.5]]), 1, (0, 255), np.uint8)
    for wrong in (-1, 256, 255.0001, np.nan, np.inf):
        with pytest.raises(ValueError, match="between 0 and 255 for this segmenter. Received: values from"):
            to_batch(np.array([[wrong, 3]]), 1, (0, 255), np.uint8)
