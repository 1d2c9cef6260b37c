"""Named CRF presets."""

from keras_wsseg.kernels import GaussianKernel
from keras_wsseg.layers.mean_field_crf import MeanFieldCRF

CRF_PRESETS = {
    "windowed": {"radius": 5, "sigma_xy": 6.0, "coupling": 3.0},
    "dense": {"sigma_xy": 80.0, "coupling": 1.0},
}
"""Each preset's radius (None: all pixels), width of the color kernel in pixels, and its weight."""

PUBLISHED_COUPLING = 10.0
"""Published weight of the color kernel of dense CRFs, for unaries derived from drawn labels."""

# Few landmarks, so that a whole validation set is scored in minutes.
_LANDMARKS = 256


def crf_preset(
    preset, value_range=(0, 255), sigma_xy=None, sigma_rgb=13 / 255, coupling=None, iterations=5, **settings
):
    """The CRF named `"windowed"` or `"dense"`, as on the command line and in settings.

    It has two kernels: a smoothness kernel, 3 pixels wide, and a color kernel with weight `coupling`; the
    weight of the smoothness kernel is 0.3 of that.

    Args:
        preset: `"windowed"`: each pixel has the 11 x 11 pixels around it as neighbors, which is fast and
            exports to ONNX; or `"dense"`: all pixels, as published.
        value_range: the values of black and white in the images.
        sigma_xy: width of the color kernel in pixels. None: 6 for windowed, 80 for dense.
        sigma_rgb: its width in color, for an image in [0, 1].
        coupling: its weight. None: 3 for windowed, 1 for dense, which suit the probabilities of a trained
            network; the published 10 (`PUBLISHED_COUPLING`) overwhelms these.
        iterations: mean-field steps.
        **settings: further arguments of `MeanFieldCRF`.

    Returns:
        A `MeanFieldCRF`.

    Raises:
        ValueError: if an argument is out of range.

    Example:

    >>> crf = crf_preset("windowed")
    >>> crf.radius, crf.iterations, [kernel.sigma_xy for kernel in crf.kernels]
    (5, 5, [3.0, 6.0])
    """
    if preset not in CRF_PRESETS:
        raise ValueError(f"`preset` must be one of {', '.join(CRF_PRESETS)}. Received: preset={preset!r}")
    preset = CRF_PRESETS[preset]
    sigma_xy = preset["sigma_xy"] if sigma_xy is None else sigma_xy
    coupling = preset["coupling"] if coupling is None else coupling
    return MeanFieldCRF(
        radius=preset.get("radius"),
        kernels=[
            GaussianKernel(weight=0.3 * coupling, sigma_xy=3.0),
            GaussianKernel(weight=coupling, sigma_xy=sigma_xy, sigma_rgb=sigma_rgb),
        ],
        iterations=iterations,
        value_range=value_range,
        landmarks=_LANDMARKS,
        **settings,
    )
