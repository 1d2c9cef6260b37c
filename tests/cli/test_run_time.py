import numpy as np
import pytest
from PIL import Image

from keras_wsseg.annotations import read_label_map
from keras_wsseg.cli.main import main
from keras_wsseg.export import OnnxSegmenter


@pytest.fixture
def given(monkeypatch):
    """The arguments that `OnnxSegmenter` was last made with."""
    seen = {}
    make = OnnxSegmenter.__init__

    def note(self, path, **arguments):
        seen.clear()
        seen.update(arguments)
        make(self, path, **arguments)

    monkeypatch.setattr(OnnxSegmenter, "__init__", note)
    return seen


@pytest.mark.parametrize(
    "words, expected",
    [
        ("", {}),
        ("--provider cpu --threads 1", {"providers": ["cpu"], "threads": 1}),
        ("--window none", {"window": None}),
        ("--window auto", {"window": "auto"}),
        ("--window 128 --window-overlap 32", {"window": 128, "overlap": 32}),
    ],
)
def test_options_reach_the_segmenter(exported, tmp_path, capsys, given, words, expected):
    Image.new("RGB", (200, 150)).save(tmp_path / "a.png")
    capsys.readouterr()
    argv = ["predict", exported, tmp_path / "a.png", "--out", tmp_path / "m", *words.split()]
    assert main([str(word) for word in argv]) == 0
    assert given == expected
    said = capsys.readouterr().err
    note = OnnxSegmenter(exported, **expected).provider_note
    assert said == f"keras-wsseg: {exported.name} runs on {note}\n"
    assert read_label_map(tmp_path / "m" / "a.png").shape == (150, 200)


def test_windows_give_the_same_mask(exported, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (300, 420, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    for window in ("none", "160"):
        words = ["predict", exported, tmp_path / "a.png", "--out", tmp_path / window, "--window", window]
        assert main([str(word) for word in words]) == 0
    whole, cut = (read_label_map(tmp_path / window / "a.png") for window in ("none", "160"))
    assert (whole == cut).mean() > 0.999


@pytest.mark.parametrize(
    "words, text",
    [
        ("--provider abacus", "`providers` must be among those of the installed ONNX Runtime"),
        ("--threads 0", "`threads` must be an integer of at least 1"),
        ("--window x", "--window must be a number of pixels, auto or none. Received: 'x'"),
        ("--window 3", "`window` must be"),
        ("--window 128 --window-overlap 100", "`overlap` must be an integer from 0 to 64"),
    ],
)
def test_what_does_not_fit_is_told(fails, exported, folder, tmp_path, words, text):
    out = tmp_path / "m"
    assert text in fails("predict", exported, folder / "images", "--out", out, *words.split())
    assert not out.exists()


@pytest.mark.parametrize("words", ["--provider cpu", "--threads 1", "--window none", "--window-overlap 8"])
def test_a_keras_segmenter_has_no_such_options(fails, trained, folder, tmp_path, words):
    said = fails("predict", trained, folder / "images", "--out", tmp_path / "m", *words.split())
    assert said.startswith(f"{words.split()[0]} needs an .onnx file of `keras-wsseg export`. Received: ")
