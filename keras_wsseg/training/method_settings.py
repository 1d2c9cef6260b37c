"""The settings of the losses, method by method."""

import dataclasses

from keras_wsseg.training.common_settings import CRFS, CommonSettings
from keras_wsseg.training.setting import option

# Repeated here since the command line answers --help without loading Keras; a test holds the two together.
DENSE_METHODS = ("auto", "exact", "nystrom", "permutohedral")

CRF, GATED, DENSE = "regularized loss", "gated-crf alone", "fully connected losses"
SINGLE = "single-class alone"
PRIOR, RRM = "tags-prior alone", "rrm alone"


@dataclasses.dataclass(frozen=True)
class MethodSettings(CommonSettings):
    """What the losses of each method are made with: see `TrainingConfig`."""

    crf_weight: float | None = option(
        CRF, None, "lambda, its weight beside the other terms; none: the loss's default", least=0
    )
    sigma_xy: float | None = option(
        CRF,
        None,
        "width of its kernel in pixels: of the loss's grid for gated-crf, of the full image for the "
        "others; none: the loss's default",
        above=0,
    )
    sigma_rgb: float | None = option(
        CRF,
        None,
        "width of its kernel in color, of an image in [0, 1]; none: the loss's default",
        above=0,
    )
    loss_scale: float = option(CRF, 0.5, "its grid, relative to that of the logits or image", above=0)
    warm_up: int | None = option(CRF, None, "first steps, without it; none: a quarter of all", least=0)
    ramp: int | None = option(
        CRF, None, "steps after those, over which its weight rises; none: a quarter of all", least=0
    )

    radius: int = option(GATED, 5, "pixels that its window reaches to each side", least=1)
    normalization: str = option(
        GATED, "destination", "what divides the energy", ("destination", "kernel_mass")
    )
    gate_source: bool = option(GATED, True, "pixels outside the image send no energy")
    gate_destination: bool = option(GATED, False, "annotated pixels receive no energy")
    gate_padding: bool = option(
        GATED, True, "pixels outside the image receive none either where the source alone is gated"
    )

    dense_method: str = option(DENSE, "auto", "how sums over all pixels are formed", DENSE_METHODS)
    landmarks: int = option(DENSE, 256, "landmarks of nystrom", least=1)
    gamma: float | None = option(
        DENSE, None, "kernel-cut: factor of the normalized cut; none: the loss's default", least=0
    )
    cut_sigma_xy: float | None = option(
        DENSE,
        None,
        "kernel-cut: width of the cut's kernel in pixels of the full image; none: sigma_xy",
        above=0,
    )
    cut_sigma_rgb: float | None = option(
        DENSE, None, "kernel-cut: width of the cut's kernel in color; none: sigma_rgb", above=0
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
    object_fraction: float = option(SINGLE, 0.5, "expected share of the object in a batch", above=0)
    small_reduction: str = option(
        SINGLE,
        "sum",
        "images that lost the object: their sum over the batch, or mean",
        ("sum", "mean"),
    )
    border: int = option(SINGLE, 3, "pixels at the border that are taken for background", least=1)
    center: int = option(SINGLE, 3, "side of the middle that is taken for the object", least=1)
    reset_optimizer: bool = option(SINGLE, False, "begin each stage with a new optimizer")

    prior_background: float = option(
        PRIOR, 0.4, "least share of the pixels that the estimated labels give to the background", least=0
    )
    prior_object: float = option(PRIOR, 0.2, "least share that they give to each tagged object", least=0)
    neighborhood: str = option(
        PRIOR,
        "exponentiated",
        "what a pixel shall resemble: the weighted mean of alike pixels, or its exponential",
        ("exponentiated", "mean", "none"),
    )
    sharpness: float = option(PRIOR, 1.0, "factor in the exponent of exponentiated", above=0)
    neighborhood_radius: int | None = option(
        PRIOR, None, "pixels of the logits that its window reaches; none: fully connected", least=1
    )

    reliable_share: float = option(
        RRM, 0.4, "share of each class's pixels that are labeled, the surest", above=0
    )
    background_gamma: float = option(
        RRM, 4.0, "exponent of the background's map: the larger, the less background", above=0
    )
    cam_scales: tuple[float, ...] = option(
        RRM, (0.5, 1.0, 1.5, 2.0), "scales of the image at which class activation is read"
    )
    mining_crf: str = option(
        RRM,
        "dense",
        "the CRF with which reliable labels agree, of the published strength 10 and 10 steps; windowed is "
        "much faster",
        CRFS,
    )
    classification_weight: float = option(RRM, 1.0, "weight of the tags' own cross entropy", least=0)
    dilation: int = option(RRM, 12, "of the convolutions of the segmenter's branch", least=1)
