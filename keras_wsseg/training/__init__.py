"""A whole training under one call: settings, run folder, scores, sweeps.

Each loads on first use: to read settings, or to show them as options, takes no Keras.
"""

import importlib

# No module here is called like what it holds: importing a module `train` would put it over the function.
_HOMES = {
    "ClassByClassFolder": "class_by_class",
    "RefinedSegmenter": "refinement",
    "RunFolder": "run_folder",
    "Scores": "evaluation",
    "SweepRow": "sweeper",
    "TrainingConfig": "config",
    "class_map": "evaluation",
    "evaluate": "evaluation",
    "sweep": "sweeper",
    "train": "trainer",
    "train_class_by_class": "class_by_class",
}

__all__ = sorted(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__():
    return list(__all__)
