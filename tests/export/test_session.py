import concurrent.futures
import json

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx_cases import write_segmenter

from keras_wsseg.export import OnnxSegmenter, session
from keras_wsseg.export.session import Session

CPU = "CPUExecutionProvider"


def opened(path, **arguments):
    return Session(write_segmenter(path, **arguments), ["cpu"], None)


def made_images(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype="uint8")


def test_what_the_file_takes_and_gives(tmp_path):
    found = opened(tmp_path / "a.onnx", outputs=("classes",), dtype="uint8", size=("batch", 32, "width"))
    assert (found.outputs, found.dtype, found.fixed) == (("classes",), np.uint8, (None, 32, None))
    assert found.about.class_names == ("background", "class 1", "class 2", "class 3")
    assert found.provider == CPU and found.note == f"{CPU}: requested"


@pytest.mark.parametrize(
    "arguments,words",
    [
        ({"outputs": ()}, r"from \['image'\] to \[\]"),
        ({"dtype": "float64"}, "from `image` to `probabilities` or `classes`"),
        ({"class_names": '["a"]', "palette": "[[0, 0, 0]]"}, "its metadata says 1 classes, its graph 4"),
        ({"palette": None}, "its metadata lacks palette"),
        ({"value_range": "[0,"}, "its metadata cannot be read"),
        ({"palette": "[1, 2, 3, 4]"}, "its metadata cannot be read"),
        ({"class_names": "null"}, "its metadata cannot be read"),
        ({"class_names": json.dumps([["a"], ["b"], ["c"], ["d"]])}, "its metadata cannot be read"),
    ],
)
def test_other_files_are_no_segmenters(tmp_path, arguments, words):
    path = write_segmenter(tmp_path / "a.onnx", **arguments)
    with pytest.raises(ValueError, match=rf"`path` must be .*{words}") as caught:
        Session(path, None, None)
    assert "\n" not in str(caught.value)


def test_channels_must_be_those_of_the_graph(tmp_path):
    model = onnx.load(write_segmenter(tmp_path / "a.onnx"))
    next(item for item in model.metadata_props if item.key == "channels").value = "1"
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(ValueError, match="its metadata says 1 channels, its graph 3"):
        Session(tmp_path / "a.onnx", None, None)


def test_a_fixed_batch_is_filled_up(tmp_path):
    free, fixed = opened(tmp_path / "free.onnx"), opened(tmp_path / "b.onnx", size=(4, "height", "width"))
    batch = made_images(6, 20, 30, 3)
    np.testing.assert_allclose(fixed.run("probabilities", batch), free.run("probabilities", batch), atol=1e-6)
    assert fixed.run("classes", batch[:1]).shape == (1, 20, 30)


def test_a_batch_is_run_in_parts_that_fit_the_memory(tmp_path, monkeypatch):
    found = opened(tmp_path / "a.onnx")
    batch = made_images(5, 20, 30, 3)
    at_once = found.run("probabilities", batch)
    monkeypatch.setattr(session, "LARGEST_WHOLE", 2 * 20 * 30)
    sizes = []
    run = found._run_part
    monkeypatch.setattr(found, "_run_part", lambda output, part: sizes.append(len(part)) or run(output, part))
    np.testing.assert_allclose(found.run("probabilities", batch), at_once, atol=1e-6)
    assert sizes == [2, 2, 1]


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_outputs_stay_on_the_device_unless_asked_for(tmp_path, monkeypatch, dtype):
    found = opened(tmp_path / "a.onnx", dtype=dtype)
    batch = made_images(2, 24, 36, 3)
    expected = {name: found.run(name, batch) for name in found.outputs}
    monkeypatch.setitem(session.BOUND_TO, CPU, "cpu")
    bound, fetched = [], []

    class Binding(onnxruntime.IOBinding):
        def bind_output(self, name, *arguments):
            bound.append(name)
            super().bind_output(name, *arguments)

        def copy_outputs_to_cpu(self):
            fetched.append(super().copy_outputs_to_cpu())
            return fetched[-1]

    monkeypatch.setattr(found._session, "io_binding", lambda: Binding(found._session))
    for name, result in expected.items():
        np.testing.assert_array_equal(found.run(name, batch), result)
    assert bound == ["probabilities", "classes"]
    assert [len(arrays) for arrays in fetched] == [1, 1]


def test_what_cannot_be_run_is_one_sentence(tmp_path, monkeypatch):
    found = opened(tmp_path / "a.onnx")

    def run(*_):
        raise MemoryError("bad allocation\nand more")

    monkeypatch.setattr(found._session, "run", run)
    with pytest.raises(
        RuntimeError, match=r"cannot run a\.onnx on 1 x 8 x 9 pixels with CPU.* bad allocation$"
    ):
        found.run("classes", made_images(1, 8, 9, 3))


@pytest.mark.parametrize("bound", [False, True])
def test_several_threads_may_share_one_segmenter(tmp_path, monkeypatch, bound):
    if bound:
        monkeypatch.setitem(session.BOUND_TO, CPU, "cpu")
    segmenter = OnnxSegmenter(write_segmenter(tmp_path / "a.onnx"), window=128)
    images = [made_images(40 + 17 * n, 150 - 9 * n, 3, seed=n) for n in range(8)]
    alone = [segmenter(image) for image in images]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        together = list(pool.map(segmenter, images * 5))
    for number, mask in enumerate(together):
        np.testing.assert_array_equal(mask, alone[number % 8])
