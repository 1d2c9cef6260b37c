"""The two settings of a CRF that have a name."""

from keras_wsseg.kernels import GaussianKernel
from keras_wsseg.layers.mean_field_crf import MeanFieldCRF

CRF_PRESETS = {"windowed": {"radius": 5, "xy": 6.0, "strength": 3.0}, "dense": {"xy": 80.0, "strength": 1.0}}
"""What each name stands for: reach, width of the color kernel in pixels, and its weight."""

PUBLISHED_STRENGTH = 10.0
"""Weight of the color kernel that dense CRFs were published with, for unaries out of drawn labels."""

# Few, so that a whole validation set is scored in minutes.
_LANDMARKS = 256


def crf_preset(name, value_range=(0, 255), xy=None, rgb=13 / 255, strength=None, iterations=5, **settings):
    """The CRF that is called `"windowed"` or `"dense"` everywhere: on the command line, in settings and here.

    Two kernels: one of smoothness, 3 pixels wide, and one of color, whose weight is `strength`; that of
    smoothness is 0.3 of it.

    Args:
        name: `"windowed"`: each pixel looks at the 11 x 11 around it, which is fast and exports to ONNX; or
            `"dense"`: at all pixels, as published.
        value_range: the values of black and white in the images.
        xy: width of the color kernel in pixels. None: 6, dense 80.
        rgb: its width in color, of an image in [0, 1].
        strength: its weight. None: 3, dense 1, for the probabilities of a trained net, which the published 10
            (`PUBLISHED_STRENGTH`) swamps.
        iterations: mean-field steps.
        **settings: further arguments of `MeanFieldCRF`.

    Returns:
        a `MeanFieldCRF`.

    Raises:
        ValueError: if an argument is out of its range.

    Example:

    >>> crf = crf_preset("windowed")
    >>> crf.radius, crf.iterations, [kernel.xy for kernel in crf.kernels]
    (5, 5, [3.0, 6.0])
    """
    if name not in CRF_PRESETS:
        raise ValueError(f"`name` must be one of {', '.join(CRF_PRESETS)}. Received: name={name!r}")
    preset = CRF_PRESETS[name]
    xy = preset["xy"] if xy is None else xy
    strength = preset["strength"] if strength is None else strength
    return MeanFieldCRF(
        radius=preset.get("radius"),
        kernels=[
            GaussianKernel(weight=0.3 * strength, xy=3.0),
            GaussianKernel(weight=strength, xy=xy, rgb=rgb),
        ],
        iterations=iterations,
        value_range=value_range,
        landmarks=_LANDMARKS,
        **settings,
    )
