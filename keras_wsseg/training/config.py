"""Everything that one training is made of, in one place for the command line, run folders and sweeps."""

import dataclasses
import json
import os
import pathlib
import typing

from keras_wsseg.training.setting import check, check_group_by, option

METHODS = ("gated-crf", "dense-crf", "normalized-cut", "kernel-cut", "adm", "pce", "full", "single-class")

# Repeated here since the command line answers --help without loading Keras; a test holds the two together.
DENSE_METHODS = ("auto", "exact", "nystrom", "permutohedral")

CRFS = ("none", "windowed", "dense")

DATA, SEGMENTER, TRAINING = "data", "segmenter", "training"
CRF, GATED, DENSE = "regularised loss", "gated-crf alone", "fully connected losses"
SINGLE, OUTPUT = "single-class alone", "output"


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """The settings of a training; each is an option of `keras-wsseg train` of the same name.

    The defaults are those that did best in the trials on real scribbles and clicks that the README shows.

    Raises:
        TypeError: if a setting is of the wrong type.
        ValueError: if a setting is out of its range, or contradicts another. Settings of other methods than
            the one chosen are left alone, so that a sweep over methods can share them.

    Example:
        >>> TrainingConfig(data="hearts", steps=500).method
        'gated-crf'
    """

    data: str = option(DATA, None, "folder with images/ and the annotations")
    annotation: str = option(
        DATA, "scribbles", "sub-folder of annotations; or simulated_clicks, simulated_scribbles from labels/"
    )
    train_split: str | None = option(
        DATA,
        "train",
        "list of the pictures to train on, <name>.txt in the data folder; none: all annotated ones",
    )
    val_split: str | None = option(
        DATA, "val", "list of the pictures to score on, which have dense labels in labels/; none: no scores"
    )
    click_size: int = option(
        DATA, 1, "side of clicks in pixels, odd; for clicks and simulated_clicks", least=1
    )
    stuff_classes: tuple[int, ...] = option(
        DATA, (), "ids of classes whose parts under 256 pixels get no simulated click"
    )
    scribble_length: float = option(
        DATA,
        1.0,
        "part of each scribble that is kept, from 1 down to 0, a click; for scribbles, simulated_scribbles",
        least=0,
    )
    labelled_share: float = option(
        DATA,
        1.0,
        "part of the annotated pictures that keep their annotation; the others are trained on without, but "
        "not with pce and full",
        above=0,
    )
    unlabelled_split: str | None = option(
        DATA,
        None,
        "list of further pictures, <name>.txt, that need no annotation; not used with pce and full",
    )
    unlabelled_batch: int | None = option(
        DATA,
        None,
        "pictures without annotation in each batch; none: half of them where there are any",
        least=0,
    )
    group_by: str | None = option(
        DATA, None, "regular expression whose first group, in a picture's name, is the volume it belongs to"
    )

    positives: tuple[str, ...] = option(
        DATA, ("images",), "single-class: sub-folders of the pictures that hold the object"
    )
    object_name: str | None = option(
        DATA,
        None,
        "single-class: what the object is called; none: the second line of classes.txt, else object",
    )
    negatives: tuple[str, ...] = option(
        DATA, (), "single-class: sub-folders of pictures known not to hold it, for a last stage"
    )

    model: str = option(
        SEGMENTER, "unet", "kind of segmenter", ("unet", "deeplabv3plus", "umobilenetv2", "encoder-unet")
    )
    filters: tuple[int, ...] = option(SEGMENTER, (12, 24, 48, 96), "channels of each level of the U-Net")
    backbone: str = option(
        SEGMENTER,
        "resnet34",
        "encoder of deeplabv3plus and encoder-unet: resnet18, resnet34, or a name of keras.applications",
    )
    weights: str | None = option(
        SEGMENTER, None, "pretrained encoder, not of unet: imagenet, or a local file"
    )
    encoder: str = option(
        SEGMENTER,
        "auto",
        "of umobilenetv2 and encoder-unet: keep the encoder's weights as they are or train them; auto: keep "
        "pretrained ones, and those that were kept in start_from",
        ("auto", "frozen", "trained"),
    )
    output_stride: int = option(
        SEGMENTER, 1, "logits at the picture's size, at half or at a quarter of it", (1, 2, 4)
    )

    method: str = option(
        TRAINING,
        "gated-crf",
        "pce: cross entropy of the annotated pixels alone; gated-crf, dense-crf, normalized-cut, kernel-cut, "
        "adm: that and the loss of this name; full: dense labels; single-class: no label, one object",
        METHODS,
    )
    start_from: str | None = option(
        TRAINING, None, "run folder or .keras file of a like segmenter whose weights to start from"
    )
    steps: int = option(
        TRAINING, 400, "training steps; those of single-class follow from the epochs of its stages", least=1
    )
    batch_size: int = option(TRAINING, 8, "pictures a step", least=1)
    crop: int = option(TRAINING, 144, "side of the training crops in pixels", least=8)
    whole: bool = option(
        TRAINING,
        False,
        "train on whole pictures, resized to the side of the crops, and let the segmenter resize what it is "
        "given; single-class always does",
    )
    scale_low: float = option(TRAINING, 0.8, "smallest random scale of a training picture", above=0)
    scale_high: float = option(TRAINING, 1.25, "largest random scale", above=0)
    flip: bool = option(
        TRAINING, True, "mirror half of the pictures; not where left and right differ in kind"
    )
    optimizer: str = option(TRAINING, "adam", "optimizer", ("adam", "sgd"))
    learning_rate: float | None = option(
        TRAINING, None, "learning rate of the first step; none: 0.003, single-class 0.001", above=0
    )
    decay: str = option(
        TRAINING,
        "auto",
        "how the learning rate falls to 0: by a polynomial of power 0.9, or not at all; auto: polynomial, "
        "single-class constant",
        ("auto", "polynomial", "constant"),
    )
    weight_decay: float = option(TRAINING, 0.0, "L2 penalty on the convolutions' kernels", least=0)
    class_weights: str = option(
        TRAINING,
        "none",
        "weights of the classes: all equal, or by how rare each is in the batch",
        ("none", "batch"),
    )
    seed: int = option(TRAINING, 0, "seed of weights, order and augmentation", least=0)

    crf_weight: float | None = option(
        CRF, None, "lambda, its weight beside the cross entropy; none: the loss's default", least=0
    )
    sigma_xy: float | None = option(
        CRF,
        None,
        "width of its kernel in pixels: of the loss's grid for gated-crf, of the full picture for the "
        "others; none: the loss's default",
        above=0,
    )
    sigma_rgb: float | None = option(
        CRF,
        None,
        "width of its kernel in colour, of a picture in [0, 1]; none: the loss's default",
        above=0,
    )
    loss_scale: float = option(CRF, 0.5, "its grid, relative to that of the logits or picture", above=0)
    warm_up: int | None = option(CRF, None, "first steps, without it; none: a quarter of all", least=0)
    ramp: int | None = option(
        CRF, None, "steps after those, over which its weight rises; none: a quarter of all", least=0
    )

    radius: int = option(GATED, 5, "pixels that its window reaches to each side", least=1)
    normalization: str = option(
        GATED, "destination", "what divides the energy", ("destination", "kernel_mass")
    )
    gate_source: bool = option(GATED, True, "pixels outside the picture send no energy")
    gate_destination: bool = option(GATED, False, "annotated pixels receive no energy")

    dense_method: str = option(DENSE, "auto", "how sums over all pixels are formed", DENSE_METHODS)
    landmarks: int = option(DENSE, 256, "landmarks of nystrom", least=1)
    gamma: float | None = option(
        DENSE, None, "kernel-cut: factor of the normalized cut; none: the loss's default", least=0
    )
    cut_sigma_xy: float | None = option(
        DENSE,
        None,
        "kernel-cut: width of the cut's kernel in pixels of the full picture; none: sigma_xy",
        above=0,
    )
    cut_sigma_rgb: float | None = option(
        DENSE, None, "kernel-cut: width of the cut's kernel in colour; none: sigma_rgb", above=0
    )
    adm_strength: float = option(
        DENSE, 2.0, "adm: how strongly alike pixels pull at one another in its proposals", least=0
    )
    adm_iterations: int = option(DENSE, 5, "adm: mean-field steps for a proposal", least=1)

    annealing_epochs: int = option(
        SINGLE, 15, "epochs over which sigma_rgb rises, first; 0: none, as with --start-from", least=0
    )
    normal_epochs: int = option(SINGLE, 50, "epochs at full strength after those", least=0)
    negative_epochs: int = option(SINGLE, 200, "further epochs with negatives, where there are any", least=0)
    negative_batch: int | None = option(
        SINGLE, None, "negatives added to each batch of those; none: as many as batch_size", least=1
    )
    first_sigma: float = option(SINGLE, 0.05, "where sigma_rgb rises from", above=0)
    annealing_weight: float = option(SINGLE, 1.0, "crf_weight while sigma_rgb rises", least=0)
    volumetric_weight: float = option(SINGLE, 1.0, "weight of the prior on the object's size", least=0)
    positional_weight: float = option(SINGLE, 1.0, "weight of the prior on its place", least=0)
    negative_weight: float = option(SINGLE, 2.0, "weight of the negatives", least=0)
    object_share: float = option(SINGLE, 0.5, "expected share of the object in a batch", above=0)
    small_reduction: str = option(
        SINGLE,
        "sum",
        "pictures that lost the object: their sum over the batch, or mean",
        ("sum", "mean"),
    )
    border: int = option(SINGLE, 3, "pixels at the border that are taken for background", least=1)
    center: int = option(SINGLE, 3, "side of the middle that is taken for the object", least=1)
    reset_optimizer: bool = option(SINGLE, False, "begin each stage with a new optimizer")

    epoch_steps: int | None = option(
        OUTPUT,
        None,
        "steps between two lines of the log and two checkpoints: an epoch; none: 50, single-class one pass "
        "over the pictures",
        least=1,
    )
    picture_every: int = option(OUTPUT, 2, "write pictures every so many lines of the log; 0: never", least=0)
    score_crf: str = option(
        OUTPUT, "none", "score a second time with a CRF behind the segmenter, see evaluate --crf", CRFS
    )
    tensorboard: bool = option(OUTPUT, False, "write logs and pictures for TensorBoard too")

    def __post_init__(self):
        if isinstance(self.data, os.PathLike):
            object.__setattr__(self, "data", os.fspath(self.data))
        for field in dataclasses.fields(self):
            # JSON knows no tuples.
            if typing.get_origin(field.type) is tuple and isinstance(getattr(self, field.name), list):
                object.__setattr__(self, field.name, tuple(getattr(self, field.name)))
        if not self.data:
            raise ValueError(
                f"data must be the folder of images and annotations. Received: data={self.data!r}"
            )
        for field in dataclasses.fields(self):
            check(field, getattr(self, field.name))
        if self.scale_high < self.scale_low:
            raise ValueError(
                f"scale_high must be at least scale_low={self.scale_low}. "
                f"Received: scale_high={self.scale_high}"
            )
        if not self.filters or min(self.filters) < 1:
            raise ValueError(f"filters must be integers of at least 1. Received: filters={self.filters}")
        if self.regularised and self.warm_up_steps >= self.steps:
            raise ValueError(
                f"warm_up must be below steps={self.steps}, or the loss of method={self.method!r} never "
                f"acts. Received: warm_up={self.warm_up}"
            )
        for name in ("loss_scale", "object_share"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name} must be at most 1. Received: {name}={getattr(self, name)!r}")
        if self.single_class:
            self._check_stages()
        if self.score_crf != "none" and self.val_split is None:
            raise ValueError(
                "score_crf needs pictures to score on. "
                f"Received: score_crf={self.score_crf!r}, val_split=None"
            )
        if (self.cut_sigma_xy is None) != (self.cut_sigma_rgb is None):
            raise ValueError(
                "cut_sigma_xy and cut_sigma_rgb must both be given or both be none. "
                f"Received: cut_sigma_xy={self.cut_sigma_xy}, cut_sigma_rgb={self.cut_sigma_rgb}"
            )
        if self.encoder == "frozen" and self.weights is None and self.start_from is None:
            raise ValueError(
                "encoder can be frozen where weights or start_from give it some only. "
                "Received: encoder='frozen', weights=None, start_from=None"
            )
        self._check_annotation()
        if self.group_by is not None:
            check_group_by(self.group_by)

    def _check_annotation(self):
        for name, where in (
            ("click_size", ("clicks", "simulated_clicks")),
            ("stuff_classes", ("simulated_clicks",)),
            ("scribble_length", ("scribbles", "simulated_scribbles")),
        ):
            changed = getattr(self, name) != type(self).__dataclass_fields__[name].default
            if changed and self.annotation not in where:
                raise ValueError(
                    f"{name} has an effect where annotation is {' or '.join(where)} only. "
                    f"Received: {name}={getattr(self, name)!r}, annotation={self.annotation!r}"
                )
        if self.click_size % 2 == 0:
            raise ValueError(f"click_size must be odd. Received: click_size={self.click_size}")
        for name in ("scribble_length", "labelled_share"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name} must be at most 1. Received: {name}={getattr(self, name)!r}")
        if self.labelled_share == 1 and self.unlabelled_split is None:
            if self.unlabelled_batch is not None:
                raise ValueError(
                    "unlabelled_batch has an effect beside labelled_share or unlabelled_split only. "
                    f"Received: unlabelled_batch={self.unlabelled_batch}"
                )
        elif self.regularised:
            if self.unlabelled_batch is None and self.batch_size == 1:
                raise ValueError(
                    "batch_size must be at least 2 to hold pictures with and without annotation. "
                    "Received: batch_size=1"
                )
            if self.unlabelled_batch is not None and self.unlabelled_batch >= self.batch_size:
                raise ValueError(
                    f"unlabelled_batch must be below batch_size={self.batch_size}. "
                    f"Received: unlabelled_batch={self.unlabelled_batch}"
                )

    def _check_stages(self):
        if not self.positives:
            raise ValueError("positives must name at least one folder. Received: positives=()")
        if self.annealing_epochs + self.normal_epochs == 0:
            raise ValueError(
                "annealing_epochs and normal_epochs must not both be 0. "
                "Received: annealing_epochs=0, normal_epochs=0"
            )
        if self.sigma_rgb is not None and self.sigma_rgb < self.first_sigma and self.annealing_epochs:
            raise ValueError(
                f"first_sigma must be at most sigma_rgb={self.sigma_rgb}. "
                f"Received: first_sigma={self.first_sigma}"
            )

    @property
    def single_class(self):
        """Whether the method learns one object from pictures alone."""
        return self.method == "single-class"

    @property
    def whole_pictures(self):
        """Whether pictures are resized instead of cropped."""
        return self.whole or self.single_class

    @property
    def regularised(self):
        """Whether the method has a loss beside the cross entropy, which learns from unlabelled pixels too."""
        return self.method not in ("pce", "full", "single-class")

    @property
    def warm_up_steps(self):
        """First steps without the regularised loss."""
        return self.steps // 4 if self.warm_up is None else self.warm_up

    @property
    def ramp_steps(self):
        """Steps over which its weight then rises."""
        return self.steps // 4 if self.ramp is None else self.ramp

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
        except (TypeError, ValueError) as error:
            raise ValueError(f"{str(path)!r} is no configuration of a training: {error}") from error
