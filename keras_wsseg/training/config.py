"""Everything that one training is made of, in one place for the command line, run folders and sweeps."""

import dataclasses
import json
import pathlib

METHODS = ("gated-crf", "pce", "full")


def _option(default, help, choices=None):
    return dataclasses.field(default=default, metadata={"help": help, "choices": choices})


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """The settings of a training; each is an option of `keras-wsseg train` of the same name.

    The defaults are those that did best in the trials on real scribbles and clicks that the README shows.

    Raises:
        ValueError: if a setting is out of its range.

    Example:
        >>> TrainingConfig(data="hearts", steps=500).method
        'gated-crf'
    """

    data: str = _option(None, "folder with images/ and the annotations")
    annotation: str = _option("scribbles", "sub-folder of annotations, or simulated_clicks, simulated_scribbles")
    train_split: str | None = _option("train", "names of training pictures: <split>.txt in the data folder")
    val_split: str | None = _option("val", "names of the pictures to score on, with dense labels in labels/")
    method: str = _option("gated-crf", "gated-crf; pce: annotated pixels only; full: the dense labels", METHODS)
    click_size: int = _option(1, "side of simulated or drawn clicks in pixels")
    stuff_classes: tuple[int, ...] = _option((), "ids whose components under 256 pixels get no simulated click")

    model: str = _option("unet", "segmenter", ("unet", "deeplabv3plus"))
    filters: tuple[int, ...] = _option((12, 24, 48, 96), "channels of each level of the U-Net")
    backbone: str = _option("resnet34", "encoder of DeepLabV3+: resnet34 or one of keras.applications")
    weights: str | None = _option(None, "pretrained encoder: 'imagenet', or a local file for resnet34")
    output_stride: int = _option(1, "logits at full (1) or at a quarter (4) of the picture's size", (1, 2, 4))

    steps: int = _option(600, "training steps")
    batch_size: int = _option(8, "pictures a step")
    crop: int = _option(144, "side of the training crops in pixels")
    scale_low: float = _option(0.8, "smallest random scale of a training picture")
    scale_high: float = _option(1.25, "largest random scale")
    optimizer: str = _option("adam", "optimizer", ("adam", "sgd"))
    learning_rate: float = _option(1e-3, "first learning rate; it falls to 0 by a polynomial of power 0.9")
    weight_decay: float = _option(0.0, "coupled L2 on the convolutions' kernels")
    class_weights: str = _option("none", "weights of the cross entropy's classes", ("none", "batch"))
    seed: int = _option(0, "seed of weights, order and augmentation")

    crf_weight: float = _option(0.1, "lambda, the weight of the gated CRF loss")
    radius: int = _option(5, "pixels that the CRF's window reaches")
    sigma_xy: float = _option(6.0, "kernel width in pixels of the loss's grid")
    sigma_rgb: float = _option(0.03, "kernel width in colour, of a picture in [0, 1]")
    normalization: str = _option("destination", "of the energy", ("destination", "kernel_mass"))
    loss_scale: float = _option(1.0, "grid of the CRF loss relative to the logits")
    gate_source: bool = _option(True, "pixels outside the picture send no energy")
    gate_destination: bool = _option(False, "annotated pixels receive no energy")
    warm_up: int = _option(150, "first steps without the CRF loss")
    ramp: int = _option(150, "steps over which its weight then rises")

    group_by: str | None = _option(None, "regular expression whose first group names the volume of a picture")
    epoch_steps: int = _option(50, "steps between two lines of the log")
    picture_every: int = _option(2, "write pictures every so many epochs; 0: never")
    tensorboard: bool = _option(False, "write logs and pictures for TensorBoard")

    def __post_init__(self):
        for field in dataclasses.fields(self):
            choices, value = field.metadata["choices"], getattr(self, field.name)
            if choices and value not in choices:
                raise ValueError(f"{field.name} must be one of {choices}. Received: {field.name}={value!r}")
        if not self.data:
            raise ValueError("data must be the folder of images and annotations. Received: data=None")
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}. Received: {name}={getattr(self, name)!r}")
        for name in ("learning_rate", "sigma_xy", "sigma_rgb", "scale_low"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be greater than 0. Received: {name}={getattr(self, name)!r}")
        if self.scale_high < self.scale_low:
            raise ValueError(
                f"scale_high must be at least scale_low={self.scale_low}. Received: scale_high={self.scale_high}"
            )
        # JSON knows no tuples.
        for name in ("filters", "stuff_classes"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def label_source(self):
        """The annotation that is trained on: `labels` for full supervision."""
        return "labels" if self.method == "full" else self.annotation

    def replace(self, **changes):
        """A copy with some settings changed."""
        return dataclasses.replace(self, **changes)

    def to_json(self):
        """The settings as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def read(cls, path):
        """Reads what `to_json` gave.

        Raises:
            ValueError: if the file holds something else.
        """
        try:
            return cls(**json.loads(pathlib.Path(path).read_text()))
        except (TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"{str(path)!r} is no configuration of a training: {error}") from error


_LEAST = {
    "click_size": 1,
    "steps": 1,
    "batch_size": 1,
    "crop": 8,
    "radius": 1,
    "epoch_steps": 1,
    "crf_weight": 0,
    "weight_decay": 0,
    "warm_up": 0,
    "ramp": 0,
    "picture_every": 0,
    "seed": 0,
}
