import errno
import os
import re
import struct
import subprocess
import sys
import zlib

import keras
import numpy as np
import pytest
from film_cases import cut_off, write_film
from PIL import Image

from keras_wsseg.annotations import read_label_map
from keras_wsseg.cli.main import main
from keras_wsseg.export import OnnxSegmenter, to_onnx


def predict(*argv):
    return main(["predict", *map(str, argv)])


def test_masks_are_those_of_the_segmenter(exported, folder, tmp_path, capsys):
    assert predict(exported, folder / "images", "--out", tmp_path / "masks") == 0
    assert f"6 of 6 masks in {tmp_path / 'masks'}" in capsys.readouterr().out
    files = sorted(path.name for path in (tmp_path / "masks").iterdir())
    assert files == [f"p{index}.png" for index in range(6)]
    segmenter = OnnxSegmenter(exported)
    mask = read_label_map(tmp_path / "masks" / "p3.png")
    np.testing.assert_array_equal(mask, segmenter(folder / "images" / "p3.png"))
    palette = np.array(Image.open(tmp_path / "masks" / "p3.png").getpalette()).reshape(-1, 3)
    np.testing.assert_array_equal(palette[:2], segmenter.palette)


def test_keras_and_onnx_agree(trained, exported, folder, tmp_path):
    image = folder / "images" / "p0.png"
    assert predict(exported, image, "--out", tmp_path / "onnx", "--probabilities", "--overlay") == 0
    assert predict(trained, image, "--out", tmp_path / "keras", "--probabilities", "--overlay") == 0
    found, expected = (np.load(tmp_path / kind / "probabilities" / "p0.npy") for kind in ("onnx", "keras"))
    assert found.shape == (32, 32, 2) and found.dtype == expected.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_array_equal(read_label_map(tmp_path / "keras" / "p0.png"), expected.argmax(-1))
    assert Image.open(tmp_path / "keras" / "overlay" / "p0.png").size == (32, 32)


def test_files_folders_and_patterns_each_once(exported, folder, tmp_path):
    images = folder / "images"
    status = predict(exported, images / "p1.png", images / "p[1-3].png", "--out", tmp_path / "masks")
    assert status == 0
    assert sorted(path.stem for path in (tmp_path / "masks").iterdir()) == ["p1", "p2", "p3"]


def test_gray_and_large_images_are_taken(exported, tmp_path):
    Image.fromarray(np.full((20, 45), 90, np.uint8)).save(tmp_path / "gray.jpg")
    assert predict(exported, tmp_path / "gray.jpg", "--out", tmp_path / "masks") == 0
    assert read_label_map(tmp_path / "masks" / "gray.png").shape == (20, 45)


def test_a_bad_image_stops_no_other(exported, folder, tmp_path, capsys):
    (tmp_path / "bad.png").write_text("no image")
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(tmp_path / "deep.png")
    good = folder / "images" / "p0.png"
    capsys.readouterr()
    assert predict(exported, tmp_path / "bad.png", tmp_path / "deep.png", good, "--out", tmp_path / "m") == 1
    said = capsys.readouterr()
    assert said.out == f"1 of 3 masks in {tmp_path / 'm'}\n"
    _, bad, deep = said.err.splitlines()
    assert bad.startswith(f"keras-wsseg: not predicted: {tmp_path / 'bad.png'}: The image must be")
    assert "must have values from 0 to 255" in deep
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["p0.png"]


def test_a_keras_segmenter_refuses_a_foreign_range(trained, tmp_path, capsys):
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(tmp_path / "deep.png")
    assert predict(trained, tmp_path / "deep.png", "--out", tmp_path / "m") == 1
    assert "must have values from 0 to 255" in capsys.readouterr().err


def test_inputs_are_never_overwritten(fails, exported, folder, tmp_path):
    images = folder / "images"
    before = {path: path.read_bytes() for path in images.iterdir()}
    text = "--out must be another folder than that of the images."
    assert fails("predict", exported, images, "--out", images).startswith(text)
    (tmp_path / "overlay").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "overlay" / "a.png")
    assert fails("predict", exported, tmp_path / "overlay", "--out", tmp_path).startswith(text)
    assert {path: path.read_bytes() for path in images.iterdir()} == before


def test_wrong_words_are_told(fails, exported, folder, tmp_path):
    out = tmp_path / "masks"
    assert fails("predict", exported, "no*.png", "--out", out) == (
        "INPUT must be an image, a folder or a pattern. Received: 'no*.png'"
    )
    (tmp_path / "empty").mkdir()
    assert "must hold at least one" in fails("predict", exported, tmp_path / "empty", "--out", out)
    Image.new("RGB", (8, 8)).save(tmp_path / "p0.jpg")
    assert fails("predict", exported, folder / "images", tmp_path / "p0.jpg", "--out", out).startswith(
        "Images must differ in name, since masks are named after them."
    )
    assert fails("predict", tmp_path / "no.onnx", folder / "images", "--out", out).startswith(
        "`path` must be"
    )
    (tmp_path / "file").touch()
    assert "--out must be a folder" in fails(
        "predict", exported, folder / "images", "--out", tmp_path / "file"
    )
    assert not out.exists()


@pytest.mark.parametrize("option", ["--overlay", "--rgba", "--probabilities"])
def test_an_onnx_file_runs_without_keras(exported, folder, tmp_path, option):
    code = """
import sys
from keras_wsseg.cli.main import main
assert main(sys.argv[1:]) == 0
assert not {"keras", "tensorflow"} & set(sys.modules)
"""
    words = ["predict", str(exported), str(folder / "images"), "--out", str(tmp_path / "m"), option]
    subprocess.run([sys.executable, "-c", code, *words], check=True)


def png_of_size(side):
    """A PNG that says it is of this size and holds next to nothing."""

    def chunk(kind, content):
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(bytes(100))), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_all_that_is_wrong_with_images_is_listed(exported, folder, tmp_path, capsys):
    good = (folder / "images" / "p0.png").read_bytes()
    bad = {
        "bomb.png": (png_of_size(30_000), "must be a whole file"),
        "empty.png": (b"", "must be an image file"),
        "large.png": (png_of_size(10_000), "truncated"),
        "text.png": (b"no image", "must be an image file"),
        "truncated.png": (good[: len(good) // 2], "truncated"),
    }
    source = tmp_path / "in"
    source.mkdir()
    for name, (content, _) in bad.items():
        (source / name).write_bytes(content)
    (source / "link.png").symlink_to("nowhere.png")
    (source / "p0.png").write_bytes(good)
    capsys.readouterr()
    assert predict(exported, source, "--out", tmp_path / "m", "--overlay") == 1
    said = capsys.readouterr()
    assert said.out == f"1 of 7 masks in {tmp_path / 'm'}\n"
    _, *lines = said.err.splitlines()
    expected = {**bad, "link.png": (None, "must be an existing file")}
    assert len(lines) == len(expected)
    for line, (name, (_, reason)) in zip(lines, sorted(expected.items()), strict=True):
        assert line.startswith(f"keras-wsseg: not predicted: {source / name}: ") and reason in line
    assert files_in(tmp_path / "m") == ["overlay/p0.png", "p0.png"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_image_that_may_not_be_read_is_listed(exported, folder, tmp_path, capsys):
    (tmp_path / "a.png").write_bytes((folder / "images" / "p0.png").read_bytes())
    (tmp_path / "a.png").chmod(0)
    assert predict(exported, tmp_path / "a.png", "--out", tmp_path / "m") == 1
    assert "Permission denied" in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["1", "LA", "P", "RGBA", "CMYK"])
def test_images_of_all_channels_are_brought_to_those_of_the_segmenter(exported, folder, tmp_path, mode):
    suffix = ".tif" if mode == "CMYK" else ".png"
    Image.open(folder / "images" / "p0.png").convert(mode).save(tmp_path / f"a{suffix}")
    assert predict(exported, tmp_path / f"a{suffix}", "--out", tmp_path / "m") == 0
    assert read_label_map(tmp_path / "m" / "a.png").shape == (32, 32)


@pytest.mark.parametrize("options", [("--probabilities",), ("--crf", "windowed")])
def test_a_file_of_classes_alone_has_no_probabilities(fails, trained, folder, tmp_path, options):
    file = tmp_path / "a.onnx"
    assert main(["export", str(trained), str(file), "--outputs", "classes"]) == 0
    told = fails("predict", file, folder / "images", "--out", tmp_path / "m", *options)
    assert told.startswith(f"{options[0]} needs a segmenter that was exported with probabilities")
    assert predict(file, folder / "images", "--out", tmp_path / "m") == 0


def test_a_file_that_refines_by_itself_is_not_refined_twice(fails, trained, folder, tmp_path):
    file = tmp_path / "a.onnx"
    assert main(["export", str(trained), str(file), "--crf", "windowed", "--crf-iterations", "2"]) == 0
    told = fails("predict", file, folder / "images", "--out", tmp_path / "m", "--crf", "windowed")
    assert told.startswith("--crf must be left out for a file that has a CRF.") and "2 steps" in told


def test_masks_need_a_folder_with_a_name(fails, exported, folder):
    assert (
        fails("predict", exported, folder / "images", "--out", "") == "--out must name a folder. Received: ''"
    )


def test_pixels_that_nobody_sees_and_further_pages_are_listed(exported, folder, tmp_path, capsys):
    whole = Image.open(folder / "images" / "p0.png").convert("RGB")
    clear = whole.convert("RGBA")
    clear.putpixel((0, 0), (1, 2, 3, 0))
    clear.save(tmp_path / "clear.png")
    whole.save(tmp_path / "pages.tif", save_all=True, append_images=[whole])
    whole.save(tmp_path / "whole.png")
    assert predict(exported, tmp_path, "--out", tmp_path / "m") == 1
    said = capsys.readouterr().err
    assert "clear.png: The image must be opaque" in said and "pages.tif: The image must be one" in said
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["whole.png"]


@pytest.mark.parametrize("name", ["own.keras", "own.onnx"])
def test_bytes_are_brought_to_the_range_of_the_segmenter(folder, tmp_path, name):
    image = keras.Input((None, None, 3))
    scaled = keras.layers.Rescaling(8.0, offset=-4.0)
    scaled.value_range = (0, 1)
    keras.utils.set_random_seed(0)
    segmenter = keras.Model(image, keras.layers.Conv2D(3, 3, padding="same")(scaled(image)))
    want = np.asarray(segmenter(np.asarray(Image.open(folder / "images" / "p0.png"))[None] / np.float32(255)))
    if name == "own.onnx":
        to_onnx(segmenter, tmp_path / name, value_range=(0, 1))
    else:
        image = keras.Input((None, None, 3))
        ranged = keras.Model(image, segmenter(Ranged()(image)))
        ranged.save(tmp_path / name)
    assert predict(tmp_path / name, folder / "images" / "p0.png", "--out", tmp_path / "m") == 0
    mask = read_label_map(tmp_path / "m" / "p0.png")
    assert len(np.unique(mask)) > 1
    np.testing.assert_array_equal(mask, want[0].argmax(-1))


@keras.saving.register_keras_serializable("tests.cli")
class Ranged(keras.layers.Layer):
    """Says which images it takes, and gives them on."""

    value_range = (0, 1)

    def call(self, x):
        return x


def test_a_mask_lies_on_the_image_as_it_is_seen(exported, tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (40, 24)).save(tmp_path / "a.jpg", exif=turned)
    assert predict(exported, tmp_path / "a.jpg", "--out", tmp_path / "m", "--overlay", "--rgba") == 0
    for name in ("a.png", "overlay/a.png", "rgba/a.png"):
        assert Image.open(tmp_path / "m" / name).size == (24, 40)


def test_folders_within_folders_keep_their_names(exported, folder, tmp_path):
    for name in ("a.png", "x/a.png", "x/ü/a.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes((folder / "images" / "p0.png").read_bytes())
    out = tmp_path / "in" / "masks"
    for _ in range(2):
        assert predict(exported, tmp_path / "in", "--out", out, "--recursive", "--probabilities") == 0
        names = ["a", "x/a", "x/ü/a"]
        assert files_in(out) == sorted(
            [f"{name}.png" for name in names] + [f"probabilities/{name}.npy" for name in names]
        )


def test_layers_of_color_leave_the_background_clear(exported, folder, tmp_path):
    assert predict(exported, folder / "images" / "p0.png", "--out", tmp_path, "--rgba") == 0
    layer = np.asarray(Image.open(tmp_path / "rgba" / "p0.png"))
    segmenter = OnnxSegmenter(exported)
    mask = read_label_map(tmp_path / "p0.png")
    np.testing.assert_array_equal(layer, segmenter.rgba(mask))


def test_frames_of_a_video_have_masks(exported, tmp_path, capsys):
    film = write_film(tmp_path / "film.mp4", frames=7)
    assert predict(exported, film, "--out", tmp_path / "m", "--every", "3", "--overlay") == 0
    assert "3 of 3 masks" in capsys.readouterr().out
    names = [f"film/frame_{number:06d}.png" for number in (0, 3, 6)]
    assert files_in(tmp_path / "m") == sorted(names + [f"overlay/{name}" for name in names])
    assert read_label_map(tmp_path / "m" / names[0]).shape == (48, 64)


def test_a_film_that_is_cut_off_leaves_masks_and_is_listed(exported, tmp_path, capsys):
    film = cut_off(write_film(tmp_path / "film.avi", frames=60, size=(120, 160)))
    Image.new("RGB", (8, 8)).save(tmp_path / "z.png")
    capsys.readouterr()
    assert predict(exported, film, tmp_path / "z.png", "--out", tmp_path / "m") == 1
    said = capsys.readouterr()
    made = len(files_in(tmp_path / "m" / "film"))
    assert 5 < made < 60 and (tmp_path / "m" / "z.png").is_file()
    assert said.out.startswith(f"{made + 1} of {made + 2} masks")
    assert f"film.avi' is damaged or cut off, with {made} whole frames" in said.err


def test_a_frame_that_fails_ends_its_film_alone(exported, tmp_path, capsys, monkeypatch):
    film = write_film(tmp_path / "film.mp4", frames=5)
    Image.new("RGB", (8, 8)).save(tmp_path / "z.png")
    run = OnnxSegmenter.__call__

    def fail_on_large(self, image):
        if image.shape[0] > 8:
            raise MemoryError("too\nlarge")
        return run(self, image)

    monkeypatch.setattr(OnnxSegmenter, "__call__", fail_on_large)
    capsys.readouterr()
    assert predict(exported, film, tmp_path / "z.png", "--out", tmp_path / "m") == 1
    said = capsys.readouterr()
    assert said.out.startswith("1 of 2 masks")
    assert said.err.splitlines()[1:] == [f"keras-wsseg: not predicted: {film}: frame_000000: too large"]


def test_without_a_decoder_a_video_names_the_extra(exported, tmp_path, capsys, monkeypatch):
    (tmp_path / "film.mp4").touch()
    monkeypatch.setitem(sys.modules, "av", None)
    assert predict(exported, tmp_path / "film.mp4", "--out", tmp_path / "m") == 1
    said = capsys.readouterr().err
    assert said.endswith("film.mp4: Reading a video needs PyAV: pip install 'keras-wsseg[video]'\n")


@pytest.fixture
def interrupted(exported, folder, tmp_path, monkeypatch, capsys):
    """A folder of masks whose making was interrupted at the third of six images."""
    seen = []

    def stop(self, image):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(image)
        return np.zeros(image.shape[:2], np.uint8)

    with monkeypatch.context() as patch:
        patch.setattr(OnnxSegmenter, "__call__", stop)
        capsys.readouterr()
        assert predict(exported, folder / "images", "--out", tmp_path / "m", "--overlay") == 130
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.endswith(
        f"keras-wsseg: interrupted; masks in {tmp_path / 'm'} so far: 2; "
        "the same command with --resume goes on\n"
    )
    assert files_in(tmp_path / "m") == ["overlay/p0.png", "overlay/p1.png", "p0.png", "p1.png"]
    return tmp_path / "m"


def test_resume_makes_what_is_missing_alone(exported, folder, interrupted, capsys):
    before = {name: (interrupted / name).stat().st_mtime_ns for name in files_in(interrupted)}
    assert predict(exported, folder / "images", "--out", interrupted, "--overlay", "--resume") == 0
    assert capsys.readouterr().out == f"6 of 6 masks in {interrupted}, 2 of them from before\n"
    assert {name: (interrupted / name).stat().st_mtime_ns for name in before} == before
    assert len(files_in(interrupted)) == 12
    assert predict(exported, folder / "images", "--out", interrupted, "--overlay") == 0
    assert capsys.readouterr().out == f"6 of 6 masks in {interrupted}\n"


@pytest.mark.parametrize("change", ["no overlay", "newer image", "newer segmenter", "more asked for"])
def test_resume_makes_anew_what_no_longer_holds(exported, folder, tmp_path, capsys, change):
    source, model, out = tmp_path / "in", tmp_path / "a.onnx", tmp_path / "m"
    source.mkdir()
    model.write_bytes(exported.read_bytes())
    for name in ("p0.png", "p1.png"):
        (source / name).write_bytes((folder / "images" / name).read_bytes())
    words = [model, source, "--out", out, "--overlay"]
    assert predict(*words) == 0
    later = (out / "p1.png").stat().st_mtime_ns + 10**9
    if change == "no overlay":
        (out / "overlay" / "p0.png").unlink()
    elif change == "newer image":
        os.utime(source / "p0.png", ns=(later, later))
    elif change == "newer segmenter":
        os.utime(model, ns=(later, later))
    else:
        words.append("--rgba")
    capsys.readouterr()
    assert predict(*words, "--resume") == 0
    kept = {"no overlay": ", 1 of them", "newer image": ", 1 of them"}.get(change, "\n")
    assert f"2 of 2 masks in {out}{kept}" in capsys.readouterr().out


def test_resume_goes_on_within_a_video(trained, exported, tmp_path, capsys):
    film = write_film(tmp_path / "film.mp4", frames=6)
    assert predict(exported, film, "--out", tmp_path / "m") == 0
    (tmp_path / "m" / "film" / "frame_000004.png").unlink()
    capsys.readouterr()
    assert predict(trained, film, "--out", tmp_path / "m", "--resume") == 0
    assert "6 of 6 masks" in (said := capsys.readouterr().out) and "5 of them from before" in said


def test_a_mask_stands_for_all_that_was_asked_for(exported, folder, tmp_path, capsys):
    (tmp_path / "m" / "overlay" / "p0.png").mkdir(parents=True)
    assert predict(exported, folder / "images" / "p0.png", "--out", tmp_path / "m", "--overlay") == 1
    assert files_in(tmp_path / "m") == []


def test_a_full_disk_ends_the_batch(exported, folder, tmp_path, capsys, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("keras_wsseg.imaging.write_label_map", refuse)
    capsys.readouterr()
    assert predict(exported, folder / "images", "--out", tmp_path / "m") == 2
    _, line = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"keras-wsseg: error: .*No space left on device", line)


def test_every_must_be_a_count(fails, exported, folder, tmp_path):
    text = fails("predict", exported, folder / "images", "--out", tmp_path / "m", "--every", "0")
    assert text == "--every must be at least 1. Received: 0"
