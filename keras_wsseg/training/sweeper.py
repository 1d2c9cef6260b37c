"""One training repeated over values of its settings and over seeds."""

import dataclasses
import itertools
import json
import pathlib

import numpy as np

from keras_wsseg.training.build import build_loss, build_model, build_training_data, build_validation_data
from keras_wsseg.training.evaluation import check_groups
from keras_wsseg.training.run_folder import RunFolder
from keras_wsseg.training.trainer import train

SCORES = ("mean_iou", "mean_dice", "mean_f_beta")


@dataclasses.dataclass(frozen=True)
class SweepRow:
    """The scores of one combination of values over all seeds.

    Attributes:
        values: setting by name.
        scores: one score a seed.
        per_class: mean over seeds of each class's score, by name; None for a class that does not occur.
        refined: one score a seed with a CRF behind the segmenter; empty where none was asked for.
    """

    values: dict
    scores: tuple
    per_class: dict
    refined: tuple = ()

    @property
    def mean(self):
        """Mean over the seeds."""
        return float(np.mean(self.scores))

    @property
    def spread(self):
        """Standard deviation over the seeds (of a sample: divided by their number less one); 0 for one."""
        return _spread(self.scores)

    @property
    def refined_mean(self):
        """Mean over the seeds with a CRF behind the segmenter; None where none was asked for."""
        return float(np.mean(self.refined)) if self.refined else None

    @property
    def refined_spread(self):
        """Their standard deviation, likewise."""
        return _spread(self.refined) if self.refined else None


def _spread(scores):
    return float(np.std(scores, ddof=1)) if len(scores) > 1 else 0.0


def sweep(config, varied, seeds, folder, score="mean_iou", on_run=None, on_scores=None, verbose=0):
    """Trains every combination of values with every seed; what is already there is not trained again.

    The published tables are sweeps: over the methods, masks, click sizes, sigma with the radius, and lambda.

    Args:
        config: the `TrainingConfig` that all trainings share.
        varied: values by name, as of `TrainingConfig.replace`: `{"loss.weight": [0.05, 0.1], "loss.radius":
            [3, 5]}`. What changes together is given as one name joined by `+` with tuples of values:
            `{"loss.sigma_xy+loss.radius": [(6, 3), (12, 5)]}`.
        seeds: the seeds, such as `range(3)`.
        folder: a folder that receives one run folder a training.
        score: `"mean_iou"`, `"mean_dice"` or `"mean_f_beta"`.
        on_run: called with `(number, count, settings, run)` before each training: the settings that vary, by
            name, and the `RunFolder`.
        on_scores: called with the dict of scores after it.
        verbose: as in `model.fit`.

    Returns:
        A list of `SweepRow`, in the order of the values.

    Raises:
        ValueError: if there is no such name, a value is out of its range or given twice, there is nothing
            to score on, or the data are wrong; all before the first training.
    """
    if score not in SCORES:
        raise ValueError(f"score must be one of {', '.join(SCORES)}. Received: score={score!r}")
    seeds = [int(seed) for seed in seeds]
    if not seeds:
        raise ValueError("seeds must hold at least one. Received: none")
    combinations = [_flat(varied, values) for values in itertools.product(*varied.values())]
    configs = [[config.replace({**values, "seed": seed}) for seed in seeds] for values in combinations]
    _check_paths([_run_path(folder, values, seed) for values in combinations for seed in seeds])
    _check_parts([row[0] for row in configs])
    rows, number, count = [], 0, len(combinations) * len(seeds)
    for values, row in zip(combinations, configs, strict=True):
        results = []
        for one in row:
            number += 1
            run = RunFolder(_run_path(folder, values, one.seed))
            if on_run:
                on_run(number, count, {**values, "seed": one.seed}, run)
            train(one, run.path, resume=run.config.is_file(), verbose=verbose)
            results.append(run.read_scores())
            if on_scores:
                on_scores(results[-1])
        rows.append(_row(values, results, score))
    return rows


def _row(values, results, score):
    name = score.removeprefix("mean_")
    per_class = {}
    for key in results[0][name]:
        found = [one[name][key] for one in results if one[name][key] is not None]
        per_class[key] = float(np.mean(found)) if found else None
    refined = tuple(one["refined"][score] for one in results if one.get("refined"))
    return SweepRow(values, tuple(one[score] for one in results), per_class, refined)


def _check_paths(paths):
    if len(set(paths)) < len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise ValueError(f"each value must be given once. Received: {twice.name} twice")


def _check_parts(configs):
    """Reads and builds what the trainings will need: better now than after hours of the first ones."""
    sources, segmenters = {}, set()
    for config in configs:
        if config.validation is None:
            raise ValueError("A sweep needs images to score on. Received: validation=None")
        build_loss(config)
        source = json.dumps((config.data, config.validation, config.regularized, config.negative_epochs > 0))
        if source not in sources:
            sources[source] = build_training_data(config)
            validation = build_validation_data(config, sources[source])
            check_groups(config.group_by, validation.names)
        data = sources[source]
        build = (config.segmenter, config.start_from, config.mode, data.num_classes, data.channels)
        if json.dumps(build) not in segmenters:
            segmenters.add(json.dumps(build))
            build_model(config, data)


def _flat(varied, values):
    flat = {}
    for names, value in zip(varied, values, strict=True):
        names = names.split("+")
        value = value if len(names) > 1 else (value,)
        if len(names) != len(value):
            raise ValueError(f"{'+'.join(names)} needs {len(names)} values at a time. Received: {value!r}")
        flat.update(zip(names, value, strict=True))
    return flat


def _run_path(folder, values, seed):
    parts = [f"{name}={value}" for name, value in values.items()] + [f"seed={seed}"]
    return pathlib.Path(folder) / ",".join(parts).replace("/", "_").replace(" ", "")
