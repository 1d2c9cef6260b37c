"""Plants faults in a copy of the library, one after the other, and tells which of them the tests notice.

Run by hand around a rewrite of tests, which shall notice afterwards what they noticed before:

    python tests/plant_faults.py [--only NAME] [--json FILE]
"""

import argparse
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
COPIED = ("pyproject.toml", "setup.cfg", "README.md", "keras_wsseg", "export", "tests")
EVERY_LOSS = "tests/losses/*every*.py"
# Of most faults JAX shows nothing that TensorFlow does not, and it takes long to start and to compile.
WITHOUT_JAX = "not jax and not JAX"


@dataclasses.dataclass(frozen=True)
class Fault:
    """A text that occurs once in a file, what takes its place, and the tests that ought to mind."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple
    select: str = WITHOUT_JAX


OPS = [
    Fault(
        "gated CRF: gradient behind the wrong gate",
        "keras_wsseg/ops/gated_crf.py",
        "source * _pair_up(sums[..., classes + 1 :], _transposed(compatibility))",
        "source * _pair_up(sums[..., :classes], _transposed(compatibility))",
        ("tests/ops/*gated_crf*.py", "tests/losses/*gated_crf*.py", EVERY_LOSS),
    ),
    Fault(
        "window smaller by one than the radius",
        "keras_wsseg/ops/tiles.py",
        "np.abs(offset) <= radius, offset == 0",
        "np.abs(offset) < radius, offset == 0",
        ("tests/ops/*local_gaussian*.py", "tests/ops/*gated_crf*.py"),
    ),
    Fault(
        "dense CRF: gradient without its factor",
        "keras_wsseg/ops/dense_crf.py",
        "_with_gradient(energy, degree - 2.0 * gathered, probabilities)",
        "_with_gradient(energy, degree - gathered, probabilities)",
        ("tests/ops/*dense_crf*.py", "tests/losses/*dense_crf*.py", EVERY_LOSS),
    ),
    Fault(
        "normalized cut: sign in the gradient",
        "keras_wsseg/ops/dense_crf.py",
        "(inside * degree - 2.0 * gathered) / degrees",
        "(inside * degree + 2.0 * gathered) / degrees",
        ("tests/ops/*dense_crf*.py", "tests/losses/*normalized_cut*.py", EVERY_LOSS),
    ),
    Fault(
        "dense energy: gate dropped",
        "keras_wsseg/ops/dense_energy.py",
        "ops.sum(gate * fixed * others, axis=(1, 2))",
        "ops.sum(mask * fixed * others, axis=(1, 2))",
        ("tests/ops/*dense_energy*.py", "tests/losses/*dense_energy*.py", EVERY_LOSS),
    ),
    Fault(
        "mean field: messages pile up",
        "keras_wsseg/ops/mean_field.py",
        "state = unary + message",
        "state = state + message",
        ("tests/ops/*mean_field*.py", "tests/layers/*mean_field*.py"),
    ),
    Fault(
        "mean field: normalized on one side only",
        "keras_wsseg/ops/dense_kernels.py",
        "roots * self._sums(operator, own, roots * values)",
        "roots * self._sums(operator, own, values)",
        ("tests/ops/*mean_field*.py", "tests/layers/*mean_field*.py"),
    ),
    Fault(
        "neighborhood: pixels outside have a say",
        "keras_wsseg/ops/neighborhood.py",
        "operator.arrange(mask[..., None] * y)",
        "operator.arrange(y)",
        ("tests/ops/*neighborhood*.py", "tests/losses/*neighborhood*.py", EVERY_LOSS),
    ),
    Fault(
        "permutohedral lattice: seed ignored",
        "keras_wsseg/ops/permutohedral.py",
        "sample_pixels(features, SAMPLES, seed, mask)",
        "sample_pixels(features, SAMPLES, 0, mask)",
        ("tests/ops/*permutohedral*.py",),
    ),
    Fault(
        "Nyström: epsilon a hundred times too large",
        "keras_wsseg/ops/nystrom.py",
        "JITTER = 1e-3",
        "JITTER = 1e-1",
        ("tests/ops/*dense_gaussian*.py", "tests/ops/*dense_energy*.py"),
    ),
    Fault(
        "resizing: half a pixel off",
        "keras_wsseg/ops/resize.py",
        '(2 * ops.arange(new_size, dtype="int32") + 1) * size - new_size',
        '2 * ops.arange(new_size, dtype="int32") * size',
        ("tests/ops/*resize*.py", "tests/layers/*resize*.py"),
    ),
    Fault(
        "sparse CRF: variance instead of twice the variance",
        "keras_wsseg/ops/sparse_crf.py",
        "-0.5 * ops.sum(ops.square((first - second)",
        "-1.0 * ops.sum(ops.square((first - second)",
        ("tests/ops/*sparse_crf*.py", "tests/losses/*sparse_crf*.py", EVERY_LOSS),
    ),
    Fault(
        "Gaussian matrix: always by a product",
        "keras_wsseg/ops/gaussian_matrix.py",
        "MAX_SIGMAS = 64.0",
        "MAX_SIGMAS = 64e9",
        ("tests/ops/*gaussian*.py",),
    ),
    Fault(
        "automatic choice: landmarks whatever they miss",
        "keras_wsseg/ops/chosen_gaussian.py",
        "LARGEST_ERROR = 0.08",
        "LARGEST_ERROR = 8.0",
        ("tests/ops/*gaussian*.py",),
    ),
    Fault(
        "adaptive prior: background gets the objects' share too",
        "keras_wsseg/ops/adaptive_prior.py",
        "* (background - each) + tags * each",
        "* background + tags * each",
        ("tests/ops/*adaptive_prior*.py", "tests/losses/*adaptive_prior*.py"),
    ),
    Fault(
        "reliable regions: the last of the share is left out",
        "keras_wsseg/ops/reliable_regions.py",
        "keys >= ops.take_along_axis(thresholds, labels, axis=1)",
        "keys > ops.take_along_axis(thresholds, labels, axis=1)",
        ("tests/ops/*reliable_regions*.py", "tests/layers/*reliable_regions*.py"),
    ),
]
LOSSES = [
    Fault(
        "losses: weight ignored",
        "keras_wsseg/losses/segmentation_loss.py",
        'return self.tensor("weight") * self.energy_of(y_true, y_pred)',
        "return energy",
        ("tests/losses/*partial_cross_entropy*.py", "tests/losses/*negative*.py", EVERY_LOSS),
    ),
    Fault(
        "gated CRF loss: resolution not in the config",
        "keras_wsseg/losses/gated_crf.py",
        '            "resolution": self.resolution,\n',
        "",
        ("tests/*every_config*.py", "tests/losses/*gated_crf*.py", EVERY_LOSS),
    ),
    Fault(
        "losses on a grid: positions count in cells",
        "keras_wsseg/losses/loss_grid.py",
        "return grid_positions(batch, height, width, steps)",
        "return grid_positions(batch, height, width)",
        ("tests/losses/*loss_grid*.py", "tests/losses/*dense_regularizer*.py"),
    ),
    Fault(
        "losses of objects: from_logits ignored",
        "keras_wsseg/losses/object_loss.py",
        "(ops.softmax(y_pred, axis=-1) if self.from_logits else y_pred)",
        "ops.softmax(y_pred, axis=-1)",
        ("tests/losses/*object_loss*.py", "tests/losses/*positional*.py", EVERY_LOSS),
    ),
    Fault(
        "losses of objects: replicas not counted",
        "keras_wsseg/losses/object_loss.py",
        "(ops.sum(ops.ones_like(chosen)) * replicas), count)",
        "ops.sum(ops.ones_like(chosen)), count)",
        ("tests/losses/*object_loss*.py", EVERY_LOSS),
        "",
    ),
    Fault(
        "losses: half precision stays half",
        "keras_wsseg/ops/finite.py",
        'ops.cast(x, "float32")',
        "x",
        ("tests/losses/*neighborhood*.py", EVERY_LOSS),
    ),
    Fault(
        "dense losses: widths swapped",
        "keras_wsseg/losses/dense_regularizer.py",
        "image_positions(labels, height, width) / sigma_xy",
        "image_positions(labels, height, width) / sigma_rgb",
        ("tests/losses/*dense_regularizer*.py", "tests/losses/*dense_crf*.py", EVERY_LOSS),
    ),
    Fault(
        "neighborhood loss: neighbors not held fixed",
        "keras_wsseg/losses/neighborhood.py",
        "y if self.through_neighbors else ops.stop_gradient(y)",
        "y",
        ("tests/losses/*neighborhood*.py", EVERY_LOSS),
    ),
    Fault(
        "ADM loss: labeled pixels count too",
        "keras_wsseg/losses/adm.py",
        "unlabeled = mask[..., 0] * (1.0 - labeled)",
        "unlabeled = mask[..., 0]",
        ("tests/losses/*adm*.py", EVERY_LOSS),
    ),
]
MODELS = [
    Fault(
        "CRF layer: black taken for 0",
        "keras_wsseg/layers/mean_field_crf.py",
        "(image - low) / (high - low)",
        "image / high",
        ("tests/layers/*mean_field*.py",),
    ),
    Fault(
        "standardization: channels not reversed",
        "keras_wsseg/layers/standardize.py",
        "outputs = outputs[..., ::-1]",
        "outputs = outputs[..., ::1]",
        ("tests/layers/*standardize*.py",),
    ),
    Fault(
        "metrics: confusion transposed",
        "keras_wsseg/metrics/confusion.py",
        "labels * self.num_classes + prediction",
        "prediction * self.num_classes + labels",
        ("tests/metrics/*confusion*.py", "tests/metrics/*f_beta*.py"),
    ),
    Fault(
        "region mining: known labels overwritten",
        "keras_wsseg/models/reliable_region_mining.py",
        "ops.where(labels == UNLABELED, mined, labels)",
        "mined",
        ("tests/models/*reliable_region*.py",),
    ),
    Fault(
        "weight decay twice as strong",
        "keras_wsseg/models/blocks.py",
        "keras.regularizers.L2(weight_decay / 2)",
        "keras.regularizers.L2(weight_decay)",
        ("tests/models/*blocks*.py", "tests/models/*unet*.py", "tests/models/*every*.py"),
    ),
]
EXPORT = [
    Fault(
        "export: probabilities taken for logits",
        "export/deployment.py",
        "return class_logits(prediction, self.probabilities)",
        "return class_logits(prediction)",
        ("tests/export/*onnx_writer*.py",),
    ),
    Fault(
        "a softmax over the classes not seen in the last layer",
        "keras_wsseg/models/model_output.py",
        '_SOFTMAX = ("softmax", "softmax_v2")',
        '_SOFTMAX = ("softmax_v2",)',
        ("tests/models/*model_output*.py",),
    ),
    Fault(
        "log-odds of one channel without its complement",
        "keras_wsseg/ops/class_scores.py",
        "return logits - ops.log(ops.maximum(1.0 - p, _REST)) if p.shape[-1] == 1 else logits",
        "return logits",
        ("tests/ops/*class_scores*.py",),
    ),
    Fault(
        "export: value range of the segmenter ignored",
        "export/preparation.py",
        "source.find_value_range(model) or (0.0, 255.0)",
        "(0.0, 255.0)",
        ("tests/export/*preparation*.py", "tests/export/*onnx_writer*.py"),
    ),
    Fault(
        "export: views averaged without their softmax",
        "export/deployment.py",
        "return softmax(self._class_logits(prediction, size if self.resize or scale != 1 else None))",
        "return self._class_logits(prediction, size if self.resize or scale != 1 else None)",
        ("tests/export/*deployment*.py",),
    ),
    Fault(
        "export: mirrored views not mirrored back",
        "export/deployment.py",
        "prediction = prediction[:, :, ::-1]",
        "prediction = prediction[:, :, ::1]",
        ("tests/export/*deployment*.py",),
    ),
    Fault(
        "export: class names in another order",
        "export/metadata.py",
        "json.dumps(list(self.class_names), ensure_ascii=False)",
        "json.dumps(sorted(self.class_names), ensure_ascii=False)",
        ("tests/export/*metadata*.py", "tests/export/*onnx_writer*.py"),
    ),
    Fault(
        "export: colors of the palette as BGR",
        "keras_wsseg/imaging/overlay.py",
        "shown[:-1, :3] = palette",
        "shown[:-1, :3] = palette[:, ::-1]",
        ("tests/imaging/*overlay*.py", "tests/export/*onnx_segmenter*.py"),
    ),
    Fault(
        "export: opset ignored",
        "export/onnx_writer.py",
        'write_raw_graph("to_raw_onnx", prepared, draft, opset=opset, ',
        'write_raw_graph("to_raw_onnx", prepared, draft, opset=OPSETS[0], ',
        ("tests/export/*onnx_writer*.py",),
    ),
    Fault(
        "export: int8 calibrated on the first images of a folder",
        "export/calibration.py",
        "np.linspace(0, len(found) - 1, min(most, len(found)))",
        "range(min(most, len(found)))",
        ("tests/export/*calibration*.py", "tests/export/*quantization*.py"),
    ),
]
DATA = [
    Fault(
        "crops: labels not mirrored with their image",
        "keras_wsseg/data/resampling.py",
        "columns, column_inside = _mirrored(columns, flip), _mirrored(column_inside, flip)\n",
        "column_inside = _mirrored(column_inside, flip)\n",
        ("tests/data/*resampling*.py", "tests/data/*pipeline*.py"),
    ),
    Fault(
        "crops: seed ignored",
        "keras_wsseg/data/pipeline.py",
        "np.random.default_rng((settings.seed, *key))",
        "np.random.default_rng((0, *key))",
        ("tests/data/*pipeline*.py",),
    ),
    Fault(
        "crops: labels half a pixel off",
        "keras_wsseg/data/resampling.py",
        "((2 * place + 1) * size) // (2 * scaled), inside",
        "(place * size) // scaled, inside",
        ("tests/data/*resampling*.py", "tests/data/*pipeline*.py"),
    ),
    Fault(
        "crops: image not where its labels are",
        "keras_wsseg/data/resampling.py",
        "(tf.cast(offset, tf.float32) + 0.5) * ratio - 0.5",
        "tf.cast(offset, tf.float32) * ratio",
        ("tests/data/*resampling*.py", "tests/data/*pipeline*.py"),
    ),
    Fault(
        "validation: padding counts as unlabeled",
        "keras_wsseg/data/pipeline.py",
        "tf.pad(labels, borders, constant_values=PADDING)",
        "tf.pad(labels, borders, constant_values=UNLABELED)",
        ("tests/data/*pipeline*.py",),
    ),
    Fault(
        "crops: what is outside is black",
        "keras_wsseg/data/pipeline.py",
        "tf.where(inside[..., None], image, sum(value_range) / 2)",
        "tf.where(inside[..., None], image, value_range[0])",
        ("tests/data/*pipeline*.py",),
    ),
]
FAULTS = [*OPS, *LOSSES, *MODELS, *EXPORT, *DATA]


class Copy:
    """The library and its tests in a folder of their own, imported from there."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        for name in COPIED:
            if (ROOT / name).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / name, self.folder / name, ignore=ignored)
            else:
                shutil.copy(ROOT / name, self.folder)
        # An editable install would look for the export elsewhere than beside the copy.
        (self.folder / "keras_wsseg" / "export").symlink_to(self.folder / "export")
        # Bytecode goes by the second in which a file was written, and its size; two faults may share both.
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(self.folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }
        code = (
            "import keras_wsseg, keras_wsseg.export as e; print(keras_wsseg.__file__, e.__file__, sep='\\n')"
        )
        places = self._run([sys.executable, "-c", code], 600)[1].split("\n")[:2]
        if not all(place.startswith(str(self.folder)) for place in places):
            raise RuntimeError(f"What is imported must be the copy in {self.folder}. Received: {places}")

    def tests_of(self, fault):
        """The files of tests, in the order of the patterns, each once."""
        files = {path: None for pattern in fault.tests for path in sorted(self.folder.glob(pattern))}
        if not files:
            raise ValueError(f"Tests of {fault.name!r} must exist. Received: {', '.join(fault.tests)}")
        return list(files)

    def plant(self, fault, seconds):
        """Runs the tests with the fault in its place.

        Returns:
            The test that failed, as pytest names it, or None; and what is to be told beside it.
        """
        path, tests = self.folder / fault.file, self.tests_of(fault)
        sound = path.read_text(encoding="utf-8")
        if sound.count(fault.old) != 1:
            raise ValueError(
                f"The text of {fault.name!r} must occur once in {fault.file}. "
                f"Received: {sound.count(fault.old)} times"
            )
        path.write_text(sound.replace(fault.old, fault.new), encoding="utf-8")
        try:
            code, said = self._pytest([*tests, "-k", fault.select], seconds)
        finally:
            path.write_text(sound, encoding="utf-8")
        if code is None:
            return None, f"not within {seconds} s"
        if code == 0:
            return None, ""
        failed = re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", said, re.MULTILINE)
        if not failed:
            raise RuntimeError(f"pytest must tell which test failed. Received:\n{said}")
        code, _ = self._pytest([failed[0]], seconds)
        return (failed[0], "") if code == 0 else (None, f"{failed[0]} fails without the fault too")

    def _pytest(self, arguments, seconds):
        words = ["-x", "-q", "-m", "not slow", "-p", "no:cacheprovider"]
        return self._run([sys.executable, "-m", "pytest", *words, *arguments], seconds)

    def _run(self, command, seconds):
        """The exit status, None where the time was up, and what was written."""
        with subprocess.Popen(
            [str(part) for part in command],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                said, _ = process.communicate(timeout=seconds)
                return process.returncode, said
            except subprocess.TimeoutExpired:
                # Tests start processes of their own.
                os.killpg(process.pid, signal.SIGKILL)
                return None, ""


def main():
    """Plants the faults asked for and prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", metavar="NAME", help="faults whose name holds this text")
    parser.add_argument("--json", metavar="FILE", type=pathlib.Path, help="file for the results")
    parser.add_argument("--seconds", type=int, default=600, help="time limit of the tests of a fault (600)")
    options = parser.parse_args()
    chosen = [fault for fault in FAULTS if options.only is None or options.only in fault.name]
    if not chosen:
        parser.error(f"--only must be part of the name of a fault. Received: {options.only}")
    results = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(pathlib.Path(folder).resolve())
        for fault in chosen:
            begun = time.monotonic()
            test, note = copy.plant(fault, options.seconds)
            seconds = round(time.monotonic() - begun, 1)
            results.append({"fault": fault.name, "noticed": test is not None, "by": test, "note": note})
            print(f"{fault.name:<58} {test or 'NOT NOTICED'} {note} ({seconds} s)", flush=True)
    print(f"{sum(result['noticed'] for result in results)} of {len(results)} noticed")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
