"""Everything that one training is made of, in one place for the command line, run folders and sweeps."""

import dataclasses
import json
import os
import typing

from keras_wsseg.arguments import check_value_range
from keras_wsseg.imaging.label_values import parse_values
from keras_wsseg.imaging.text_file import read_text
from keras_wsseg.training.method_settings import MethodSettings
from keras_wsseg.training.setting import check, check_group_by


@dataclasses.dataclass(frozen=True)
class TrainingConfig(MethodSettings):
    """The settings of a training; each is an option of `keras-wsseg train` of the same name.

    The defaults are meant to be no worse than cross entropy alone on any kind of image rather than the best
    on one: docs/defaults.md has the trials, and where that could not be shown.

    Raises:
        TypeError: if a setting is of the wrong type.
        ValueError: if a setting is out of its range, or contradicts another. Settings of other methods than
            the one chosen are left alone, so that a sweep over methods can share them.

    Example:
        >>> TrainingConfig(data="hearts", steps=500).method
        'gated-crf'
    """

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
        if self.regularized and self.warm_up_steps >= self.steps:
            raise ValueError(
                f"warm_up must be below steps={self.steps}, or the loss of method={self.method!r} never "
                f"acts. Received: warm_up={self.warm_up}"
            )
        for name in ("loss_scale", "object_fraction", "reliable_share", "prior_background", "prior_object"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name} must be at most 1. Received: {name}={getattr(self, name)!r}")
        if self.single_class:
            self._check_stages()
        self._check_segmenter()
        if self.score_crf != "none" and self.val_split is None:
            raise ValueError(
                f"score_crf needs images to score on. Received: score_crf={self.score_crf!r}, val_split=None"
            )
        if (self.cut_sigma_xy is None) != (self.cut_sigma_rgb is None):
            raise ValueError(
                "cut_sigma_xy and cut_sigma_rgb must both be given or both be none. "
                f"Received: cut_sigma_xy={self.cut_sigma_xy}, cut_sigma_rgb={self.cut_sigma_rgb}"
            )
        self._check_annotation()
        if self.value_range:
            check_value_range(self.value_range)
        for texts in (self.values, self.label_values):
            parse_values(texts)
        if self.values and (self.single_class or (self.from_tags and not self._tags_from_label_maps)):
            raise ValueError(
                "values has an effect where the training reads label maps only. "
                f"Received: values={self.values!r}, method={self.method!r}"
            )
        if self.group_by is not None:
            check_group_by(self.group_by)

    def _check_annotation(self):
        for name, where in (
            ("click_size", ("clicks", "simulated_clicks")),
            ("stuff_classes", ("simulated_clicks",)),
            ("instances", ("simulated_clicks",)),
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
        for name in ("scribble_length", "labeled_fraction"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name} must be at most 1. Received: {name}={getattr(self, name)!r}")
        if self.labeled_fraction == 1 and self.unlabeled_split is None:
            if self.unlabeled_batch is not None:
                raise ValueError(
                    "unlabeled_batch has an effect beside labeled_fraction or unlabeled_split only. "
                    f"Received: unlabeled_batch={self.unlabeled_batch}"
                )
        elif self.regularized and not self.from_tags:
            if self.unlabeled_batch is None and self.batch_size == 1:
                raise ValueError(
                    "batch_size must be at least 2 to hold images with and without annotation. "
                    "Received: batch_size=1"
                )
            if self.unlabeled_batch is not None and self.unlabeled_batch >= self.batch_size:
                raise ValueError(
                    f"unlabeled_batch must be below batch_size={self.batch_size}. "
                    f"Received: unlabeled_batch={self.unlabeled_batch}"
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

    def _check_segmenter(self):
        if self.encoder_rate != 1 and self.model == "unet":
            raise ValueError(
                "encoder_rate must be 1 for a model without encoder. "
                f"Received: encoder_rate={self.encoder_rate}, model='unet'"
            )
        if self.encoder == "frozen" and self.weights is None and self.start_from is None:
            raise ValueError(
                "encoder can be frozen where weights or start_from give it some only. "
                "Received: encoder='frozen', weights=None, start_from=None"
            )
        if self.model == "two-branch" and self.method != "rrm":
            raise ValueError(
                "model can be two-branch where method is rrm only. "
                f"Received: model='two-branch', method={self.method!r}"
            )
        if self.model == "two-branch" and self.output_stride != 1:
            raise ValueError(
                "output_stride must be 1 where model is two-branch. "
                f"Received: output_stride={self.output_stride}"
            )
        if not self.cam_scales or min(self.cam_scales) < 0.001:
            raise ValueError(
                f"cam_scales must be numbers of at least 0.001. Received: cam_scales={self.cam_scales}"
            )

    @property
    def from_tags(self):
        """Whether the method learns from tags of whole images."""
        return self.method in ("tags-prior", "rrm")

    @property
    def single_class(self):
        """Whether the method learns one object from images alone."""
        return self.method == "single-class"

    @property
    def whole_images(self):
        """Whether images are resized instead of cropped."""
        return self.single_class or (self.from_tags if self.whole is None else self.whole)

    @property
    def regularized(self):
        """Whether the method has a loss that warms up and learns from unlabeled pixels too."""
        if self.method == "tags-prior":
            return self.neighborhood != "none"
        return self.method not in ("pce", "full", "single-class")

    @property
    def warm_up_steps(self):
        """First steps without the regularized loss."""
        return self.steps // 4 if self.warm_up is None else self.warm_up

    @property
    def ramp_steps(self):
        """Steps over which its weight then rises."""
        return self.steps // 4 if self.ramp is None else self.ramp

    @property
    def label_source(self):
        """The annotation that is trained on: `labels` for full supervision."""
        return "labels" if self.method == "full" else self.annotation

    @property
    def values_of_annotation(self):
        """What the values in the files that are trained on mean."""
        return self.values_of_labels if self._trains_on_labels else self.values

    @property
    def values_of_labels(self):
        """What the values in labels/ mean."""
        return self.label_values or (self.values if self._trains_on_labels else ())

    @property
    def _trains_on_labels(self):
        source = self.tags if self.from_tags else self.label_source
        return source in ("labels", "simulated_clicks", "simulated_scribbles")

    @property
    def _tags_from_label_maps(self):
        return self.tags != "folders" and not self.tags.lower().endswith(".csv")

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
            return cls(**json.loads(read_text(path, "The configuration")))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{str(path)!r} is no configuration of a training: {error}") from error
