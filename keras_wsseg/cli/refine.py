"""The options of a CRF behind a segmenter, and the segmenter that they make."""

from keras_wsseg.cli.console import load_keras
from keras_wsseg.training.common_settings import CRFS


def add_crf_options(parser):
    """Adds `--crf` and its settings."""
    group = parser.add_argument_group("CRF post-processing")
    group.add_argument(
        "--crf",
        choices=CRFS,
        default="none",
        help="refine each mask along the image's borders by mean-field inference: windowed (11 x 11 "
        "pixels, fast) or dense (all pixels); default: none",
    )
    for name, words in (
        ("xy", "width of its color kernel in pixels (default: 80, windowed 6)"),
        ("rgb", "width of its color kernel in color, of an image in [0, 1] (default: 0.051)"),
        (
            "strength",
            "weight of its color kernel; smoothness has 0.3 of it (default: 1, windowed 3)",
        ),
    ):
        group.add_argument(f"--crf-{name}", type=float, metavar="X", help=words)
    group.add_argument("--crf-iterations", type=int, metavar="N", help="mean-field steps (default: 5)")


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
    given = {name: getattr(arguments, f"crf_{name}") for name in ("xy", "rgb", "strength", "iterations")}
    given = {name: value for name, value in given.items() if value is not None}
    if arguments.crf == "none":
        for name in given:
            raise ValueError(f"--crf-{name} needs --crf windowed or --crf dense. Received: --crf none")
        return None
    load_keras()
    from keras_wsseg.layers import crf_preset

    return crf_preset(arguments.crf, value_range, **given)
