"""The whole way from images to an ONNX segmenter, on images made here."""

import pathlib
import shlex
import shutil

import numpy as np

from keras_wsseg.cli import console

_TRAINING, _VALIDATION, _SIZE = 40, 24, 96
_STROKE_WIDTH = 2
# These shapes are striped and blotched, far beyond the default width in color.
_SIGMA_RGB = 0.1
_CHANGES = {
    "segmenter.filters": (12, 24, 48),
    "image_size": _SIZE,
    "optimizer.learning_rate": 2e-3,
    "warm_up.delay_steps": 60,
    "warm_up.ramp_steps": 60,
    "steps_per_epoch": 100,
    "images_every": 1,
}
_LOSSES = {
    "pce": {"loss": None},
    "gated-crf": {"loss.weight": 0.1, "loss.sigma_rgb": _SIGMA_RGB},
}
_METHODS = {"pce": "pCE", "gated-crf": "pCE + gated CRF"}
_ROWS = 5

_README = """\
Made by `keras-wsseg demo`. Running it again replaces what it made; other files stay.

data/               what a data folder looks like: images/, scribbles/, labels/, lists, class names
runs/pce/           training on the scribbles alone: settings, log, images by epoch, segmenter, scores
runs/gated-crf/     the same with the gated CRF loss
segmenter.onnx      the second segmenter in one file that runs without Keras or TensorFlow
masks/              its masks of the validation images, computed by ONNX Runtime
comparison.png      image, scribbles, both predictions and the truth, side by side
"""


class Demo:
    """Makes images, trains twice, exports, runs the export, and shows all of it.

    Args:
        out: folder for everything.
        seed: seed of the images and of both trainings.
    """

    def __init__(self, out, seed=0):
        self.out = pathlib.Path(out)
        self.seed = seed
        self.data = self.out / "data"
        self.runs = self.out / "runs"
        self.onnx = self.out / "segmenter.onnx"
        self.masks = self.out / "masks"
        self.comparison = self.out / "comparison.png"
        self.readme = self.out / "README.txt"

    def make_room(self):
        """Makes the folder, or clears it of what an earlier demo made.

        Raises:
            FileExistsError: if it is not empty and no demo made it.
        """
        if self.out.exists() and not self.out.is_dir():
            raise FileExistsError(f"{str(self.out)!r} is a file: choose another folder with --out.")
        if self.out.exists() and any(self.out.iterdir()):
            if not self.readme.is_file() or self.readme.read_text(encoding="utf-8") != _README:
                raise FileExistsError(
                    f"The folder {str(self.out)!r} was not made by this demo: choose another one with --out."
                )
            for path in (self.data, self.runs, self.masks):
                shutil.rmtree(path, ignore_errors=True)
            for path in (self.onnx, self.comparison):
                path.unlink(missing_ok=True)
        self.out.mkdir(parents=True, exist_ok=True)
        self.readme.write_text(_README, encoding="utf-8")

    def run(self):
        """Does everything; Keras has been loaded."""
        self.write_data()
        print(f"1. {_TRAINING} images with scribbles, {_VALIDATION} more to score on: {self.data}")
        scores = {}
        for number, (method, title) in enumerate(_METHODS.items(), start=2):
            print(f"{number}. Training on the scribbles with {title}: {self.runs / method}")
            scores[method] = self.train(method)
        console.print_table(
            ("mean IoU in points of 100", *scores["pce"]["iou"], "mean"),
            [
                (_METHODS[method], *map(console.points, one["iou"].values()), console.points(one["mean_iou"]))
                for method, one in scores.items()
            ],
        )
        print(f"4. The second segmenter as an ONNX file: {self.export()}")
        provider = self.show()
        print(f"5. Masks by ONNX Runtime ({provider}): {self.masks}")
        print(f"\nLook at {self.comparison}, and at {self.data} to see how a data folder is laid out.")
        print("To try the command itself on these images:")
        command = console.own_command()
        options = f"--out runs/shapes --image_size {_SIZE} --loss.weight 0.1 --loss.sigma_rgb {_SIGMA_RGB}"
        print(f"  {command} train {shlex.quote(str(self.data))} {options}")
        print("Next, your own images, with scribbles painted as in that folder:")
        print(f"  {command} train YOUR_FOLDER --out runs/first")

    def write_data(self):
        """Writes images, scribbles, labels, lists and class names as a data folder."""
        from keras_wsseg.annotations import simulate_scribbles, write_label_map
        from keras_wsseg.data import synthetic_shapes
        from keras_wsseg.training.run_folder import write_text
        from keras_wsseg.visualization import class_palette, write_png

        count = _TRAINING + _VALIDATION
        images, labels, class_names = synthetic_shapes(count, _SIZE, seed=self.seed)
        names = [f"image{index:02d}" for index in range(count)]
        palette = np.full((256, 3), 255, np.uint8)
        palette[: len(class_names)] = class_palette(len(class_names))
        for folder in ("images", "scribbles", "labels"):
            (self.data / folder).mkdir(parents=True)
        for index, name in enumerate(names):
            scribbles = simulate_scribbles(labels[index], seed=(self.seed, index), width=_STROKE_WIDTH)
            write_png(self.data / "images" / f"{name}.png", images[index])
            write_label_map(self.data / "scribbles" / f"{name}.png", scribbles, palette)
            write_label_map(self.data / "labels" / f"{name}.png", labels[index], palette)
        write_text(self.data / "train.txt", "\n".join(names[:_TRAINING]) + "\n")
        write_text(self.data / "val.txt", "\n".join(names[_TRAINING:]) + "\n")
        write_text(self.data / "classes.txt", "\n".join(class_names) + "\n")

    def train(self, method):
        """Trains with one method; returns its scores."""
        from keras_wsseg.training import TrainingConfig, train

        changes = {**_CHANGES, **_LOSSES[method], "seed": self.seed}
        config = TrainingConfig.from_recipe("scribbles", self.data, changes)
        run = train(config, self.runs / method, verbose=console.training_verbosity())
        return run.read_scores()

    def export(self):
        """Exports the segmenter of the gated CRF; returns the report."""
        from keras_wsseg.cli.segmenters import load_keras_model
        from keras_wsseg.export import to_onnx

        model, class_names, config = load_keras_model(self.runs / "gated-crf")
        return to_onnx(model, self.onnx, class_names=class_names, metadata={"method": config.method})

    def show(self):
        """Writes masks and the sheet of comparison; returns where ONNX Runtime ran."""
        from keras_wsseg.cli.segmenters import load_segmenter
        from keras_wsseg.data import SegmentationFolder
        from keras_wsseg.export import OnnxSegmenter
        from keras_wsseg.visualization import contact_sheet, overlay, write_png

        scribbles = SegmentationFolder(self.data, "scribbles", split="val")
        truth = SegmentationFolder(self.data, "labels", split="val")
        pce, exported = load_segmenter(self.runs / "pce"), OnnxSegmenter(self.onnx)
        self.masks.mkdir()
        rows = []
        for index, name in enumerate(truth.names):
            image, labels = truth.load(index)
            mask = exported(image)
            exported.save_mask(self.masks / f"{name}.png", mask)
            if index < _ROWS:
                strokes = overlay(image, scribbles.load(index)[1], alpha=1.0)
                shown = [overlay(image, one) for one in (pce(image), mask, labels)]
                rows.append([image, strokes, *shown])
        titles = ("image", "scribbles", "pCE", "pCE + gated CRF, by ONNX Runtime", "truth")
        write_png(self.comparison, contact_sheet(rows, titles, exported.class_names, cell=288))
        return exported.provider
