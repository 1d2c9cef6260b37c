"""The options of a CRF behind a segmenter, and the segmenter that they make."""

import argparse

from keras_wsseg.cli.console import load_keras
from keras_wsseg.cli.options import add_argument_of
from keras_wsseg.training.config import CRFS

_ARGUMENTS = {"sigma_xy": float, "sigma_rgb": float, "coupling": float, "iterations": int}


def add_crf_options(parser):
    """Adds `--crf` and its settings."""
    group = parser.add_argument_group("CRF post-processing")
    group.add_argument(
        "--crf",
        choices=("none", *CRFS),
        default="none",
        help="refine each mask along the image's borders by mean-field inference: windowed (11 x 11 "
        "pixels, fast) or dense (all pixels); default: none",
    )
    for name, kind in _ARGUMENTS.items():
        add_argument_of(
            group, "layers", "crf_preset", name, f"--crf-{name.replace('_', '-')}", type=kind,
            default=argparse.SUPPRESS,
        )  # fmt: skip


def refined(segmenter, arguments):
    """The segmenter with the CRF that was asked for behind it.

    Raises:
        ValueError: if a setting of a CRF was given without one, or is out of its range.
    """
    crf = asked_crf(arguments, segmenter.value_range)
    if crf is None:
        return segmenter
    from keras_wsseg.training import RefinedSegmenter

    return RefinedSegmenter(segmenter, crf)


def asked_crf(arguments, value_range):
    """The CRF that was asked for, a `layers.MeanFieldCRF`, or None.

    Raises:
        ValueError: if a setting of a CRF was given without one, or is out of its range.
    """
    given = {name: getattr(arguments, name) for name in _ARGUMENTS if hasattr(arguments, name)}
    if arguments.crf == "none":
        for name in given:
            raise ValueError(
                f"--crf-{name.replace('_', '-')} needs --crf windowed or --crf dense. Received: --crf none"
            )
        return None
    load_keras()
    from keras_wsseg.layers import crf_preset

    return crf_preset(arguments.crf, value_range, **given)
