import doctest
import json
import os
import subprocess
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx_cases import write_segmenter
from PIL import Image

from keras_wsseg.export import OnnxSegmenter, onnx_segmenter, to_onnx
from keras_wsseg.imaging import voc_palette


@pytest.fixture(scope="module")
def segmenter(onnx_file):
    return OnnxSegmenter(onnx_file)


@pytest.fixture(scope="module")
def gray_segmenter(gray_onnx_file):
    return OnnxSegmenter(gray_onnx_file)


def random_image(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype="uint8")


def test_class_map_and_probabilities_are_those_of_the_graph(segmenter, onnx_file):
    image = random_image(37, 53, 3)
    session = onnxruntime.InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])
    probabilities, classes = session.run(None, {"image": image[None].astype("float32")})
    assert segmenter(image).dtype == np.uint8
    np.testing.assert_array_equal(segmenter(image), classes[0])
    np.testing.assert_array_equal(segmenter.probabilities(image), probabilities[0])
    assert len(np.unique(classes)) > 1


def test_batches_lists_and_paths(segmenter, tmp_path):
    batch = random_image(3, 20, 24, 3)
    single = [segmenter(image) for image in batch]
    np.testing.assert_array_equal(segmenter(batch), single)
    np.testing.assert_allclose(
        segmenter.probabilities(batch), [segmenter.probabilities(image) for image in batch], atol=1e-6
    )
    paths = []
    for number, image in enumerate(batch):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(image).save(paths[-1])
    np.testing.assert_array_equal(segmenter(paths[0]), single[0])
    np.testing.assert_array_equal(segmenter(str(paths[1])), single[1])
    mixed = segmenter([paths[0], batch[1], random_image(5, 7, 3)])
    assert isinstance(mixed, list)
    assert [mask.shape for mask in mixed] == [(20, 24), (20, 24), (5, 7)]
    np.testing.assert_array_equal(mixed[1], single[1])
    assert [p.shape for p in segmenter.probabilities([batch[0]])] == [(20, 24, 4)]
    assert segmenter([]) == []


def test_numbers_of_any_kind_mean_the_same(segmenter):
    image = random_image(9, 11, 3)
    for dtype in ("int64", "uint16", "float16", "float64"):
        np.testing.assert_array_equal(segmenter(image.astype(dtype)), segmenter(image))
    np.testing.assert_array_equal(segmenter(image[::-1, ::-1]), segmenter(image[::-1, ::-1].copy()))


def test_attributes_describe_the_file(segmenter):
    assert segmenter.class_names == ("road", "sky", "tree", "car")
    assert segmenter.palette.dtype == np.uint8
    assert segmenter.palette.tolist()[0] == [10, 20, 30]
    assert segmenter.value_range == (0.0, 255.0)
    assert segmenter.channels == 3
    assert segmenter.metadata["method"] == "gated CRF"
    assert segmenter.provider in repr(segmenter)
    assert "4 classes" in repr(segmenter)


def test_gray_images_with_and_without_channel_axis(gray_segmenter, tmp_path):
    image = random_image(12, 15)
    mask = gray_segmenter(image)
    assert mask.shape == (12, 15) and set(np.unique(mask)) == {0, 1}
    np.testing.assert_array_equal(gray_segmenter(image[..., None]), mask)
    np.testing.assert_array_equal(gray_segmenter(image[None, ..., None]), mask[None])
    Image.fromarray(image).save(tmp_path / "gray.png")
    np.testing.assert_array_equal(gray_segmenter(tmp_path / "gray.png"), mask)
    assert gray_segmenter.overlay(image).shape == (12, 15, 3)


def test_gray_and_rgb_are_never_taken_for_each_other(segmenter, gray_segmenter, tmp_path):
    for image in (random_image(8, 8), random_image(8, 8, 1)):
        with pytest.raises(ValueError, match=r"must be RGB \(3 channels\) .* Received: gray \(1 channel\)"):
            segmenter(image)
    with pytest.raises(ValueError, match=r"must be gray \(1 channel\) .* Received: RGB \(3 channels\)"):
        gray_segmenter(random_image(8, 8, 3))
    with pytest.raises(ValueError, match=r"Received: of 4 channels, shape=\(8, 8, 4\)"):
        segmenter(random_image(8, 8, 4))


def test_files_are_brought_to_the_channels_of_the_segmenter(segmenter, gray_segmenter, tmp_path):
    gray, color = random_image(8, 8), random_image(8, 8, 3)
    Image.fromarray(gray).save(tmp_path / "gray.png")
    Image.fromarray(color).save(tmp_path / "color.png")
    thrice = np.repeat(gray[..., None], 3, -1)
    np.testing.assert_array_equal(segmenter(tmp_path / "gray.png"), segmenter(thrice))
    np.testing.assert_array_equal(
        segmenter.overlay(tmp_path / "gray.png"), segmenter.overlay(thrice, mask=segmenter(thrice))
    )
    luma = np.asarray(Image.fromarray(color).convert("L"))
    np.testing.assert_array_equal(gray_segmenter(tmp_path / "color.png"), gray_segmenter(luma))


def test_image_files_of_other_modes(segmenter, gray_segmenter, tmp_path):
    colors = random_image(10, 10, 3)
    opaque = np.dstack([colors, np.full((10, 10), 255, "uint8")])
    Image.fromarray(opaque).save(tmp_path / "rgba.png")
    np.testing.assert_array_equal(segmenter(tmp_path / "rgba.png"), segmenter(colors))
    indexed = Image.fromarray(colors).quantize(16)
    indexed.save(tmp_path / "indexed.png")
    np.testing.assert_array_equal(
        segmenter(tmp_path / "indexed.png"), segmenter(np.asarray(indexed.convert("RGB")))
    )
    opaque[3, 3, 3] = 100
    Image.fromarray(opaque).save(tmp_path / "glass.png")
    with pytest.raises(ValueError, match=r"glass\.png' must be opaque"):
        segmenter(tmp_path / "glass.png")
    Image.fromarray(np.full((10, 10), 40_000, "uint16")).save(tmp_path / "deep.png")
    with pytest.raises(ValueError, match="Received: values from 40000 to 40000"):
        gray_segmenter(tmp_path / "deep.png")
    bits = np.eye(10, dtype=bool)
    Image.fromarray(bits).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(
        gray_segmenter(tmp_path / "bits.png"), gray_segmenter(bits.astype("uint8") * 255)
    )


@pytest.mark.parametrize(
    "image,kind,words",
    [
        (np.zeros((0, 4, 3)), ValueError, r"at least one pixel\. Received: shape=\(0, 4, 3\)"),
        (np.zeros(3), ValueError, r"must have shape .* Received: shape=\(3,\)"),
        (np.full((4, 4, 3), 256.0), ValueError, "between 0 and 255 .* Received: values from 256 to 256"),
        (np.full((4, 4, 3), -1), ValueError, "Received: values from -1 to -1"),
        (np.full((4, 4, 3), np.nan), ValueError, "Received: values from nan to nan"),
        (np.zeros((4, 4, 3), complex), TypeError, "array of real numbers. Received: dtype=complex128"),
        (None, TypeError, "array of real numbers. Received: dtype=object"),
        ([[1, 2]], TypeError, "Received: a list in a list"),
        ("nowhere.png", FileNotFoundError, r"must be an existing file\. Received: 'nowhere.png'"),
        (__file__, ValueError, r"must be an image file\. Received: "),
    ],
)
def test_bad_images_are_one_sentence(segmenter, image, kind, words):
    for method in (segmenter, segmenter.probabilities):
        with pytest.raises(kind, match=words) as caught:
            method(image)
        assert "\n" not in str(caught.value)


def test_an_image_scaled_by_mistake_is_warned_of(segmenter):
    with pytest.warns(UserWarning, match=r"was it scaled to \[0, 1\]"):
        segmenter(random_image(6, 6, 3) / 255.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        segmenter(random_image(6, 6, 3).astype("float32"))
        segmenter(np.zeros((6, 6, 3)))


def test_a_file_of_fixed_size_takes_every_image(tiny_segmenter, tmp_path):
    to_onnx(tiny_segmenter(size=(16, 24), batch=2), tmp_path / "a.onnx")
    segmenter = OnnxSegmenter(tmp_path / "a.onnx")
    batch = random_image(3, 16, 24, 3)
    single = [segmenter(image) for image in batch]
    np.testing.assert_array_equal(segmenter(batch), single)
    for size in ((16, 25), (5, 7), (40, 24), (1, 1)):
        assert segmenter(random_image(*size, 3)).shape == size
        assert segmenter.probabilities(random_image(3, *size, 3)).shape == (3, *size, 4)
    strict = OnnxSegmenter(tmp_path / "a.onnx", window=None)
    np.testing.assert_array_equal(strict(batch[0]), single[0])
    with pytest.raises(ValueError, match=r"must have width 24, .* Received: width 25"):
        strict(random_image(16, 25, 3))


def test_overlay_mixes_image_and_palette(segmenter):
    image = random_image(18, 14, 3)
    mask = segmenter(image)
    np.testing.assert_array_equal(segmenter.overlay(image, alpha=0), image)
    np.testing.assert_array_equal(segmenter.overlay(image, alpha=1), segmenter.palette[mask])
    half = segmenter.overlay(image)
    assert half.dtype == np.uint8
    np.testing.assert_allclose(half, image / 2 + segmenter.palette[mask] / 2, atol=0.5)
    painted = segmenter.overlay(image, alpha=1, mask=np.full((18, 14), 2))
    np.testing.assert_array_equal(painted, np.broadcast_to([0, 200, 0], (18, 14, 3)))
    np.testing.assert_array_equal(segmenter.overlay(image[None]), half[None])
    np.testing.assert_array_equal(segmenter.overlay([image])[0], half)
    np.testing.assert_array_equal(segmenter.overlay([image], mask=[mask])[0], half)


def test_overlay_scales_the_image_by_its_range(tiny_segmenter, tmp_path):
    to_onnx(tiny_segmenter(), tmp_path / "a.onnx", value_range=(-1, 1), check_sizes=[(8, 8)])
    segmenter = OnnxSegmenter(tmp_path / "a.onnx")
    image = random_image(6, 6, 3)
    np.testing.assert_array_equal(segmenter.overlay(image / 127.5 - 1, alpha=0), image)


def test_bad_overlays_are_refused(segmenter, tiny_segmenter, tmp_path):
    image = random_image(6, 6, 3)
    with pytest.raises(ValueError, match=r"`alpha` must be a number from 0 to 1\. Received: alpha=2"):
        segmenter.overlay(image, alpha=2)
    with pytest.raises(ValueError, match=r"for each pixel .* Received: shape=\(3, 6\)"):
        segmenter.overlay(image, mask=np.zeros((3, 6), int))
    with pytest.raises(ValueError, match=r"classes below 4\. Received: 255 to 255"):
        segmenter.overlay(image, mask=np.full((6, 6), 255))
    with pytest.raises(ValueError, match=r"one for each of 1 images\. Received: 2"):
        segmenter.overlay([image], mask=[None, None])
    to_onnx(tiny_segmenter(channels=2), tmp_path / "a.onnx", check_sizes=[(8, 8)])
    with pytest.raises(ValueError, match=r"gray or RGB images\. Received: a segmenter of 2 channels"):
        OnnxSegmenter(tmp_path / "a.onnx").overlay(random_image(6, 6, 2))


def test_layer_of_colors_hides_the_background(tmp_path):
    segmenter = OnnxSegmenter(write_segmenter(tmp_path / "a.onnx"))
    mask = np.array([[0, 1, 2], [3, 254, 255]])
    layer = segmenter.rgba(mask)
    np.testing.assert_array_equal(layer[0, 1:], [[200, 0, 0, 128], [0, 200, 0, 128]])
    np.testing.assert_array_equal(layer[..., 3] > 0, [[False, True, True], [True, False, False]])
    assert segmenter.rgba(mask, alpha=1, transparent=())[0, 0].tolist() == [10, 20, 30, 255]
    names = segmenter.rgba(mask, transparent=["class 1", "class 2"])
    np.testing.assert_array_equal(names[0, :, 3], [128, 0, 0])
    segmenter.save_overlay(tmp_path / "layer.png", mask, alpha=0.25)
    with Image.open(tmp_path / "layer.png") as read:
        np.testing.assert_array_equal(np.asarray(read), segmenter.rgba(mask, alpha=0.25))


def test_names_of_layers_are_compared_in_normal_form(tmp_path):
    names = json.dumps(["road", "Ba\u0308ume", "c", "d"])
    named = OnnxSegmenter(write_segmenter(tmp_path / "a.onnx", class_names=names))
    assert named.rgba(np.ones((1, 1), int), transparent=["B\u00e4ume"])[0, 0, 3] == 0


def test_bad_layers_are_refused(segmenter, tmp_path):
    assert segmenter.rgba(np.zeros((2, 2), int))[0, 0, 3] == 128, "no class of this one is called background"
    for call in (
        segmenter.rgba,
        lambda *rest, **more: segmenter.save_overlay(tmp_path / "a.png", *rest, **more),
    ):
        with pytest.raises(ValueError, match=r"`alpha` must be a number from 0 to 1\. Received: alpha=-1"):
            call(np.zeros((2, 2), int), alpha=-1)
        with pytest.raises(
            ValueError, match=r"class map \(height, width\) of integers\. Received: shape=\(2,\)"
        ):
            call(np.zeros(2, int))
        for wrong in ("road", ["sea"], [1]):
            with pytest.raises(
                ValueError, match="class names, out of road, sky, tree, car. Received: transparent="
            ):
                call(np.zeros((2, 2), int), transparent=wrong)
    assert list(tmp_path.iterdir()) == []


def test_uint8_files_take_whole_numbers(tmp_path):
    segmenter = OnnxSegmenter(write_segmenter(tmp_path / "a.onnx", dtype="uint8"))
    same = OnnxSegmenter(write_segmenter(tmp_path / "b.onnx"))
    image = random_image(20, 30, 3)
    for dtype in ("uint8", "int64", "float64"):
        np.testing.assert_array_equal(segmenter(image.astype(dtype)), same(image))
    with pytest.raises(ValueError, match=r"integer values .* Received: dtype=float64 with fractions"):
        segmenter(image / 2)


def test_large_images_are_cut_and_keep_their_size(segmenter, tmp_path):
    image = random_image(1100, 2004, 3)
    mask = segmenter(image)
    assert mask.shape == (1100, 2004)
    whole = OnnxSegmenter(segmenter.path, window=None)(image)
    assert np.mean(mask == whole) > 0.9999
    Image.fromarray(image).save(tmp_path / "large.png", compress_level=1)
    np.testing.assert_array_equal(segmenter(tmp_path / "large.png"), mask)
    with pytest.raises(ValueError, match=r"`window` must be .* Received: window=16"):
        OnnxSegmenter(segmenter.path, window=16)
    with pytest.raises(ValueError, match=r"`overlap` must be .* Received: overlap=999"):
        OnnxSegmenter(segmenter.path, overlap=999)


def test_saved_mask_holds_numbers_and_shows_colors(segmenter, tmp_path):
    mask = np.array([[0, 1, 2], [3, 254, 255]])
    segmenter.save_mask(tmp_path / "mask.png", mask)
    with Image.open(tmp_path / "mask.png") as read:
        assert read.mode == "P"
        np.testing.assert_array_equal(np.asarray(read), mask)
        colors = np.asarray(read.convert("RGB"))
    np.testing.assert_array_equal(colors[0], segmenter.palette[:3])
    assert colors[1].tolist() == [[0, 0, 200], *voc_palette()[[254, 255]].tolist()]
    assert [path.name for path in tmp_path.iterdir()] == ["mask.png"]


def test_bad_masks_leave_no_file(segmenter, tmp_path):
    for mask in (np.zeros((2, 2)), np.zeros((1, 2, 2), int), np.full((2, 2), 256), np.zeros((0, 2), int)):
        with pytest.raises((TypeError, ValueError), match=r"`mask` must (hold|have) .* Received: "):
            segmenter.save_mask(tmp_path / "mask.png", mask)
    assert list(tmp_path.iterdir()) == []


def test_missing_cut_and_foreign_files_are_one_sentence(onnx_file, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`path` must be an existing file\. Received: path="):
        OnnxSegmenter(tmp_path / "nowhere.onnx")
    with pytest.raises(ValueError, match=r"`path` must be a file\. Received: path=.* which is a folder"):
        OnnxSegmenter(tmp_path)
    content = onnx_file.read_bytes()
    for share in (0.0, 0.1, 0.5, 0.9, 0.99):
        (tmp_path / "cut.onnx").write_bytes(content[: int(len(content) * share)])
        with pytest.raises(ValueError, match="`path` must be") as caught:
            OnnxSegmenter(tmp_path / "cut.onnx")
        assert "\n" not in str(caught.value) and "cut.onnx" in str(caught.value)
    model = onnx.load(onnx_file)
    model.graph.output.add().CopyFrom(
        onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["batch", "height", "width", 3])
    )
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(ValueError, match=r"written by `to_onnx`, .* 'classes', 'image'\]"):
        OnnxSegmenter(tmp_path / "other.onnx")


@pytest.mark.parametrize(
    "change,words",
    [
        ({"palette": None}, "its metadata lacks palette"),
        ({"channels": "three"}, "its metadata cannot be read"),
        ({"class_names": "[1, 2"}, "its metadata cannot be read"),
        ({"class_names": json.dumps(["a"])}, "its metadata cannot be read: `palette` must hold"),
    ],
)
def test_metadata_that_does_not_hold_is_refused(onnx_file, tmp_path, change, words):
    model = onnx.load(onnx_file)
    properties = {**{item.key: item.value for item in model.metadata_props}, **change}
    onnx.helper.set_model_props(model, {key: value for key, value in properties.items() if value is not None})
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(ValueError, match=r"`path` must be a segmenter written by `to_onnx`.*" + words):
        OnnxSegmenter(tmp_path / "a.onnx")


def test_threads_are_checked_and_kept(onnx_file):
    for threads in (0, 1.5):
        with pytest.raises(ValueError, match=f"`threads` must be .* Received: threads={threads}"):
            OnnxSegmenter(onnx_file, threads=threads)
    one = OnnxSegmenter(onnx_file, threads=1)
    assert one._session._session.get_session_options().intra_op_num_threads == 1


BLOCKED = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ImportError(f"{{name}} is not installed here")

sys.meta_path.insert(0, Block())
import keras_wsseg.export
"""


def run_without(blocked, code, *arguments):
    script = BLOCKED.format(blocked=blocked) + code
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, env=os.environ
    )


def test_without_pillow_arrays_work_and_paths_say_what_is_missing(onnx_file):
    code = f"""
import numpy as np
segmenter = keras_wsseg.export.OnnxSegmenter(sys.argv[1])
assert segmenter(np.zeros((5, 6, 3), "uint8")).shape == (5, 6)
for call in (lambda: segmenter({__file__!r}), lambda: segmenter.save_mask("a.png", np.zeros((2, 2), int))):
    try:
        call()
    except ImportError as error:
        print(error)
"""
    done = run_without(["PIL", "keras", "tensorflow", "onnx", "scipy"], code, onnx_file)
    assert done.returncode == 0, done.stderr
    assert "Image files need Pillow" in done.stdout
    assert "Writing a label map needs Pillow" in done.stdout


def test_without_onnxruntime_the_error_names_what_to_install():
    done = run_without(["onnxruntime"], "keras_wsseg.export.OnnxSegmenter")
    assert done.returncode == 1
    assert "OnnxSegmenter needs ONNX Runtime: `pip install onnxruntime`" in done.stderr


def test_examples_in_docstrings_run(tiny_segmenter, tmp_path):
    to_onnx(tiny_segmenter(), tmp_path / "segmenter.onnx")
    names = {"example": tmp_path / "segmenter.onnx", "np": np, "OnnxSegmenter": OnnxSegmenter}
    result = doctest.testmod(onnx_segmenter, extraglobs=names)
    assert result.attempted >= 4 and result.failed == 0
