import os
import pathlib
import runpy
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from keras_wsseg.export import OnnxSegmenter

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"
TERMS = {
    "gated_crf.py": ("gated_crf", "val_mean_iou"),
    "image_tags.py": ("adaptive_prior", "neighborhood", "mean_iou", "as in Keras"),
    "regularized_losses.py": ("kernel_cut", "val_mean_iou"),
    "reliable_regions.py": ("balanced_cross_entropy", "dense_energy", "mean_iou", "segmenter.crf.onnx"),
    "single_class.py": ("sparse_crf", "Jaccard"),
}


def test_every_example_is_run():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*TERMS, "loss_gradient.py"}


@pytest.mark.slow
@pytest.mark.parametrize("name", TERMS)
def test_published_recipe_runs_on_a_cpu(name, tmp_path):
    out = tmp_path / "segmenter.onnx"
    call = [sys.executable, EXAMPLES / name, "--quick", "--out", out]
    done = subprocess.run(
        call, capture_output=True, text=True, check=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    )
    assert all(term in done.stdout for term in TERMS[name])
    mask = OnnxSegmenter(out)(np.zeros((50, 70, 3), "uint8"))
    assert mask.shape == (50, 70) and mask.max() < 4


def test_the_gradient_is_painted(tmp_path, monkeypatch):
    out = tmp_path / "gradient.png"
    monkeypatch.setattr(sys, "argv", ["loss_gradient.py", "--out", str(out)])
    runpy.run_path(EXAMPLES / "loss_gradient.py", run_name="__main__")
    painted = np.array(Image.open(out)).astype(int)
    red = (painted[..., 0] > 200) & (painted[..., 1] < 60)
    yellow = (painted[..., 0] > 200) & (painted[..., 1] > 180) & (painted[..., 2] < 60)
    assert red.sum() > 1000 and yellow.sum() > 1000


@pytest.mark.parametrize("name", TERMS)
def test_a_folder_is_asked_for(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(EXAMPLES / name, run_name="__main__")
    assert stopped.value.code == 2 and "a data folder or --quick is required" in capsys.readouterr().err
