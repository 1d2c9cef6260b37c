"""Everything that one training is made of, in one place for the command line, run folders and sweeps."""

import dataclasses
import json
import os
import re

from keras_wsseg.arguments import check_integer, check_number
from keras_wsseg.imaging.file_names import normal_name
from keras_wsseg.imaging.text_file import read_text
from keras_wsseg.training.former_config import FormerConfig
from keras_wsseg.training.parts import (
    OPTIONAL,
    PARTS,
    SEGMENTERS,
    arguments_of,
    as_part,
    check_names,
    complete_part,
    plain,
)
from keras_wsseg.training.recipes import read_recipe
from keras_wsseg.training.signatures import parameters

CRFS = ("windowed", "dense")

# The terms that learn from annotated pixels alone, and are there from the first step.
_FIRST_TERMS = ("PartialCrossEntropy", "BalancedCrossEntropy", "AdaptivePriorLoss", "SingleClassLoss")


def _setting(default, help, low=None, above=None, choices=None):
    metadata = {"help": help, "low": low, "above": above, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """What a training is made of: settings of its own, and parts that are objects of classes.

    A part is `{"class_name": ..., "config": {...}}`, as Keras serializes objects: the arguments of the class,
    completed with its defaults, so that a run folder means the same whatever a later default is. `loss` is a
    list of such terms. `from_recipe` and `replace` take arguments by dotted names, `"loss.radius"`.

    The recipes' values are meant to be no worse than cross entropy alone on any kind of image rather than the
    best on one; the page on defaults has the trials, and where that could not be shown.

    Args:
        data, validation, segmenter, loss, optimizer, schedule, warm_up, stages: the parts. `validation`
            (images to score on), `schedule` (of the learning rate, over all steps), `warm_up` (of all terms
            but the first; by default a quarter of the steps without them, and as many to raise them) and
            `stages` (of a `SingleClassLoss`) may be None.
        **settings: one for each option of `keras-wsseg train` without a dot; see there.

    Raises:
        TypeError, ValueError: if a setting is out of its range, a part has no such class or argument, or two
            of them contradict each other. What is wrong with the value of an argument, the class says itself
            when the training is built.

    Example:
        >>> config = TrainingConfig.from_recipe("scribbles", "hearts", {"steps": 500, "loss.radius": 3})
        >>> config.steps, config.loss[1]["class_name"], config.loss[1]["config"]["radius"]
        (500, 'GatedCRFLoss', 3)
    """

    data: dict
    segmenter: dict
    loss: list
    optimizer: dict
    validation: dict | None = None
    schedule: dict | None = None
    warm_up: dict | None = None
    stages: dict | None = None

    steps: int = _setting(400, "training steps; where there are stages, their epochs decide instead", low=1)
    batch_size: int = _setting(8, "images per step", low=1)
    image_size: int = _setting(144, "side of the training images, in pixels", low=8)
    mode: str = _setting(
        "crop",
        "crop: random crops; resize: whole images, resized, and a segmenter that resizes its input",
        choices=("crop", "resize"),
    )
    scale: tuple = _setting(
        (0.8, 1.25), "smallest and largest random scale of a training image; for crops only"
    )
    flip: bool = _setting(
        True, "mirror half of the images; not for images whose left and right differ in meaning"
    )
    color_jitter: float = _setting(0.0, "largest relative change of brightness, contrast, saturation", low=0)
    unlabeled_batch: int | None = _setting(
        None, "images without annotation in each batch; none: half of the batch, where there are any", low=0
    )
    negative_batch: int | None = _setting(
        None, "negative images added to each batch of the last stage; none: as many as batch_size", low=1
    )
    negative_epochs: int = _setting(200, "epochs with negative images, after the stages", low=0)
    start_from: str | None = _setting(
        None, "run folder or .keras file whose weights to start from, of a segmenter of the same architecture"
    )
    encoder_rate: float = _setting(
        1.0, "factor on the learning rate of the encoder, such as 0.1 with pretrained weights", low=0
    )
    seed: int = _setting(0, "seed of the weights, the order of the images, and augmentation", low=0)
    steps_per_epoch: int | None = _setting(
        None,
        "steps from one checkpoint and line of the log to the next; none: 50, or with stages one pass "
        "over all images",
        low=1,
    )
    images_every: int = _setting(2, "epochs between two images of the progress; 0: no images", low=0)
    tensorboard: bool = _setting(False, "also write logs and images for TensorBoard")
    group_by: str | None = _setting(
        None, "regular expression whose first group, in the name of an image, is the volume it belongs to"
    )
    score_crf: str | None = _setting(
        None, "score a second time with a CRF behind the segmenter (see evaluate --crf)", choices=CRFS
    )

    @classmethod
    def from_recipe(cls, recipe="scribbles", data=None, changes=None):
        """The configuration that a recipe describes.

        Args:
            recipe: a name (`keras-wsseg recipes` lists them), or the path of a `.toml` or `.json` file.
            data: the data folder, `data.root`.
            changes: see `replace`.

        Raises:
            FileNotFoundError, TypeError, ValueError: if there is no such recipe, or see the class.
        """
        table = {"data": {}, "segmenter": {}, "loss": [], "optimizer": {}, **read_recipe(recipe)}
        table.pop("version", None)
        check_names("", table, [field.name for field in dataclasses.fields(cls)], f"The recipe {recipe}")
        table |= {part: _as_part(part, table.get(part)) for part in PARTS}
        if data is not None:
            table["data"]["config"]["root"] = os.fspath(data)
        return cls(**_changed(table, changes or {}))

    def replace(self, changes):
        """A copy with some values changed.

        Args:
            changes: dict by name. A setting: `"steps"`. The class of a part, with the defaults of that class:
                `"segmenter"`, or None to do without; `"loss"` is the last term, where None leaves the first
                alone, or a list of all. An argument of a part: `"segmenter.filters"`; `"loss.radius"` is that
                of the last term that has it, `"loss.partial_cross_entropy.class_weights"` that of the term of
                this name.

        Raises:
            TypeError, ValueError: see the class.
        """
        table = json.loads(self.to_json())
        return type(self)(**_changed(table, changes))

    def __post_init__(self):
        for field in dataclasses.fields(self):
            if field.name not in PARTS:
                object.__setattr__(self, field.name, _checked(field, getattr(self, field.name)))
        for part in PARTS:
            object.__setattr__(self, part, self._completed(part))
        if not self.data["config"]["root"]:
            raise ValueError("data.root must be the folder of images and annotations. Received: none")
        if self.score_crf is not None and self.validation is None:
            raise ValueError(f"score_crf needs images to score on. Received: score_crf={self.score_crf!r}")
        self._check_losses()
        delay_steps, _ = self.warm_up_steps
        if self.regularized and delay_steps >= self.steps:
            raise ValueError(
                f"warm_up.delay_steps must be below steps={self.steps}, or no term but the first ever acts. "
                f"Received: {delay_steps}"
            )
        if self.group_by is not None:
            check_group_by(self.group_by)

    def _completed(self, part):
        given = _as_part(part, getattr(self, part))
        if part == "loss":
            return [complete_part("loss", term) for term in given]
        if given is None:
            if part not in OPTIONAL:
                raise ValueError(f"{part} must be a class. Received: {part}=None")
            return None
        if part == "warm_up":
            # As long as the time without them, unless something is said.
            given = {**given, "config": {"ramp_steps": None, **given["config"]}}
        return complete_part(part, given)

    def _check_losses(self):
        if not self.loss:
            raise ValueError("loss must have at least one term. Received: none")
        chosen = (
            f"Received: {self.data['class_name']}, {self.segmenter['class_name']}, {', '.join(self.terms)}"
        )
        if self.from_tags != (self.mining or "AdaptivePriorLoss" in self.terms):
            raise ValueError(
                "Tags (TagFolder) are what AdaptivePriorLoss and ReliableRegionMining learn from, and "
                f"nothing else does. {chosen}"
            )
        of_images = (self.data["class_name"] == "SingleClassFolder", self.stages is not None)
        if of_images != (self.single_class,) * 2 or (self.single_class and len(self.loss) > 1):
            raise ValueError(
                "SingleClassLoss, as the only term, goes with SingleClassFolder and stages, and they with "
                f"nothing else. {chosen}, {'stages' if self.stages else 'no stages'}"
            )

    @property
    def root(self):
        """The data folder."""
        return self.data["config"]["root"]

    @property
    def terms(self):
        """Class names of the loss's terms."""
        return [term["class_name"] for term in self.loss]

    @property
    def method(self):
        """What the training is called in a few letters: the name of the loss's last term."""
        return term_name(self.terms[-1])

    @property
    def from_tags(self):
        """Whether it learns from tags of whole images."""
        return self.data["class_name"] == "TagFolder"

    @property
    def single_class(self):
        """Whether it learns one object from images alone."""
        return "SingleClassLoss" in self.terms

    @property
    def mining(self):
        """Whether the model mines the labels that the loss learns from."""
        return self.segmenter["class_name"] == "ReliableRegionMining"

    @property
    def late_terms(self):
        """Places in the loss of the terms that a warm-up raises; mined labels are of no use at first."""
        firsts = () if self.mining else _FIRST_TERMS
        return [place for place, name in enumerate(self.terms) if name not in firsts]

    @property
    def regularized(self):
        """Whether there is a term that may warm up and learns from unlabeled pixels too."""
        return bool(self.late_terms)

    @property
    def warm_up_steps(self):
        """How many steps go without the late terms, and over how many their weights then rise."""
        given = {} if self.warm_up is None else self.warm_up["config"]
        counts = {f"warm_up.{name}": given.get(name, 0) for name in ("delay_steps", "ramp_steps")}
        counts = {name: self.steps // 4 if count is None else count for name, count in counts.items()}
        return tuple(check_integer(name, count, low=0) for name, count in counts.items())

    def to_json(self):
        """All of it as JSON text."""
        return json.dumps({"version": 2, **dataclasses.asdict(self)}, indent=2) + "\n"

    @classmethod
    def read(cls, path):
        """Reads what `to_json` gave; what version 0.1 wrote, as a `FormerConfig`.

        Raises:
            ValueError: if the file holds something else.
        """
        try:
            table = json.loads(read_text(path, "The configuration"))
            return cls(**table) if table.pop("version", None) == 2 else FormerConfig.of(table)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{str(path)!r} is no configuration of a training: {error}") from error


def check_group_by(pattern):
    """`pattern` compiled, or a `ValueError` where it is no regular expression with a group."""
    try:
        compiled = re.compile(normal_name(pattern))
    except (re.error, TypeError) as error:
        raise ValueError(
            f"group_by must be a regular expression ({error}). Received: group_by={pattern!r}"
        ) from error
    if not compiled.groups:
        raise ValueError(f"group_by must have a group in parentheses. Received: group_by={pattern!r}")
    return compiled


def term_name(class_name):
    """The name of a loss in the logs."""
    return parameters("losses", class_name)[0]["name"].default


def _as_part(part, given):
    """The class and arguments of a part, by default of its first class; the terms of a loss are a list."""
    if part == "loss":
        return [as_part(term) for term in (given if isinstance(given, (list, tuple)) else [given])]
    if given is None:
        return None
    given = as_part(given)
    return {**given, "class_name": given["class_name"] or PARTS[part][1][0]}


def _checked(field, value):
    limits, name = field.metadata, field.name
    if value is None and "None" in str(field.type):
        return None
    if limits["choices"]:
        if value not in limits["choices"]:
            choices = ", ".join(limits["choices"])
            raise ValueError(f"{name} must be one of {choices}. Received: {name}={value!r}")
    elif field.type in (int, int | None):
        return check_integer(name, value, low=limits["low"])
    elif field.type is float:
        return float(check_number(name, value, low=limits["low"], above=limits["above"]))
    elif field.type is bool:
        if not isinstance(value, bool):
            raise TypeError(f"{name} must be true or false. Received: {name}={value!r}")
    elif field.type is tuple:
        pair = value if isinstance(value, (list, tuple)) and len(value) == 2 else ("", "")
        if not all(isinstance(side, (int, float)) for side in pair) or not 0 < pair[0] <= pair[1]:
            raise ValueError(
                f"{name} must be two numbers above 0, the smaller first. Received: {name}={value!r}"
            )
        return tuple(pair)
    elif not isinstance(value, str):
        raise TypeError(f"{name} must be a text. Received: {name}={value!r}")
    return value


def _changed(table, changes):
    """`table` with the changes: classes first, since they bring the arguments that others change."""
    table.pop("version", None)
    for name, value in sorted(changes.items(), key=lambda item: item[0].count(".")):
        part, *path = name.split(".")
        if part not in PARTS:
            known = [field.name for field in dataclasses.fields(TrainingConfig)]
            check_names("", [part], known, "A training")
            if path:
                raise ValueError(f"{part} is a setting and has no arguments. Received: {name}")
            table[part] = plain(value)
        elif not path:
            _set_class(table, part, value)
        elif part == "loss":
            _set_argument(*_term(table["loss"], path), value)
        else:
            table[part] = table.get(part) or _as_part(part, {})
            _set_argument(part, table[part], path, value)
    return table


def _set_class(table, part, value):
    made = [] if part == "loss" and value is None else _as_part(part, value)
    if part == "loss" and not isinstance(value, list):
        first = table["loss"][:1]
        # A term stands beside the first one, unless both or neither learn from what is known alone.
        kinds = [term["class_name"] in _FIRST_TERMS for term in (*first, *made)]
        made = [*first, *made] if not made or kinds == [True, False] else made
    elif part == "data" and made is not None:
        kept = table["data"]["config"]
        made["config"] = {**{k: kept[k] for k in ("root", "split") if k in kept}, **made["config"]}
    table[part] = made


def _term(terms, path):
    """The term that a dotted name means, and the rest of the name."""
    named = [term for term in terms if term_name(term["class_name"]) == path[0]]
    if named and len(path) > 1:
        return "loss", named[-1], path[1:]
    known = {}
    for term in terms:
        known |= dict.fromkeys(arguments_of("loss", term["class_name"])[1], term)
    check_names("loss.", path[:1], known, " + ".join(term["class_name"] for term in terms))
    return "loss", known[path[0]], path


def _set_argument(part, holder, path, value):
    config = holder["config"]
    for name in path[:-1]:
        inner = config.get(name)
        if not isinstance(inner, dict) and inner not in SEGMENTERS:
            raise ValueError(f"{part}.{name} must be a class to have arguments. Received: {inner!r}")
        config[name] = inner = as_part(inner)
        config = inner["config"]
    config[path[-1]] = plain(value)
