import keras
from keras import ops

from keras_wsseg import targets
from keras_wsseg.arguments import check_integer, check_number
from keras_wsseg.imaging.labels import PADDING, UNLABELED
from keras_wsseg.kernels.gaussian_kernel import SMALLEST_SIGMA, as_kernels, of_guide
from keras_wsseg.losses.loss_grid import grid_size, image_positions, whole_cells
from keras_wsseg.losses.segmentation_loss import SegmentationLoss
from keras_wsseg.ops.backend import mean_over_replicas
from keras_wsseg.ops.gated_crf import check_compatibility, energy_and_mass
from keras_wsseg.ops.local_gaussian import METHODS
from keras_wsseg.ops.resize import resize_area

NORMALIZATIONS = ("destination", "kernel_mass")


@keras.saving.register_keras_serializable("keras_wsseg")
class GatedCRFLoss(SegmentationLoss):
    r"""Gated CRF: encourages neighboring pixels that look alike to share a label, annotated or not.

    It propagates clicks or scribbles to the rest of each object. The energy is

    `Psi = sum_a sum_{b in window(a), b != a} m_dst(a) m_src(b) K_ab sum_ij mu(i, j) y_a(i) y_b(j)`

    with the probabilities `y`, the kernels `K_ab = sum_p w_p exp(-|(f_a - f_b) / sigma|^2 / 2)` and by
    default the Potts model `mu = 1 - I`. The loss is `Psi / sum m_dst`, with both sums over the batch.

    Guide image and masks are resized to the grid of the loss by area averaging; a cell of a mask counts only
    if all of it does.

    Args:
        weight: lambda, the factor of the term. The default is small to suit networks trained from scratch,
            see docs/defaults.md.
        radius: the window extends this many pixels of the loss's grid in each direction.
        sigma_xy: width of the kernel in pixels of the image, whatever the grid.
        sigma_rgb: width of the kernel in color, in units of an image in [0, 1].
        kernels: several `GaussianKernel`, or one with further modalities or another weight; it replaces the
            kernel of `sigma_xy` and `sigma_rgb`. The sigmas can be annealed in either case.
        compatibility: `(classes, classes)`, non-negative, zero diagonal. None: Potts.
        gate_source: whether pixels outside the image (label 254) are excluded as sources of energy.
        gate_destination: whether annotated pixels receive no energy, in addition to those outside the image.
        gate_padding: where only the source is gated, whether pixels outside the image neither receive energy
            nor count in `sum m_dst`. False: they do both, which is the published form, where `m_dst` is 1;
            predictions in the padding are then pulled towards those of the adjacent image, and the loss of an
            image falls with the padding that a crop adds to it.
        normalization: `"destination"` divides by the number of receiving pixels, as published: the energy
            grows with the window and in flat images; `"kernel_mass"` divides by `sum G K`: an energy within
            [0, 1] whatever the window, the size and the image.
        resolution: side of the loss's grid relative to the image, in (0, 1]; probabilities are resized to it
            by area averaging. The grid is never finer than the prediction: a prediction at a quarter of the
            image's size is used at that size. Published: a quarter.
        from_logits: whether `y_pred` holds logits; probabilities otherwise.
        filter_method: `"tiles"`, or the slow reference `"patches"` (see `ops.gated_crf_energy`).
        reduction, name, dtype: see `SegmentationLoss`.

    Shapes:
        `y_true`: what `targets.pack` returns, `(batch, height, width, 1 + guide)`, or plain labels if all
        kernels compare positions only. `y_pred`: `(batch, h, w, classes)`.

    Raises:
        ValueError: if an argument is out of range, or a kernel compares a modality that `y_true` lacks.

    Example:
        >>> import numpy as np
        >>> from keras_wsseg import targets
        >>> image = np.zeros((1, 4, 4, 3), "float32")
        >>> y_true = targets.pack(np.full((1, 4, 4), 255), image)
        >>> agreed = np.tile(np.array([9.0, -9.0], "float32"), (1, 4, 4, 1))
        >>> float(GatedCRFLoss()(y_true, agreed)) < 1e-6
        True

    Source: Obukhov et al. 2019, arXiv:1906.04651, equations 3 to 7. The published code counts zero padding at
    the borders as neighbors unless a source mask is given; here neighbors outside the tensor never count.
    `GatedCRFLoss.published()` gives the paper's settings.
    """

    def __init__(
        self,
        weight=0.01,
        radius=5,
        sigma_xy=12.0,
        sigma_rgb=0.03,
        kernels=None,
        compatibility=None,
        gate_source=True,
        gate_destination=False,
        gate_padding=True,
        normalization="destination",
        resolution=0.5,
        from_logits=True,
        filter_method="tiles",
        reduction="sum_over_batch_size",
        name="gated_crf",
        dtype=None,
    ):
        super().__init__(weight=weight, reduction=reduction, name=name, dtype=dtype)
        check_integer("radius", radius, low=1)
        if normalization not in NORMALIZATIONS:
            raise ValueError(
                f"normalization must be one of {NORMALIZATIONS}. Received: normalization={normalization!r}"
            )
        if filter_method not in METHODS:
            raise ValueError(
                f"filter_method must be one of {METHODS}. Received: filter_method={filter_method!r}"
            )
        check_number("resolution", resolution, above=0, high=1)
        self.radius = radius
        self.kernels = None if kernels is None else as_kernels(kernels)
        if kernels is None:
            self._declare(weight=weight, sigma_xy=sigma_xy, sigma_rgb=sigma_rgb)
        elif (sigma_xy, sigma_rgb) != (12.0, 0.03):
            raise ValueError(
                "sigma_xy and sigma_rgb have no effect with kernels, which have their own sigmas. "
                f"Received: sigma_xy={sigma_xy!r}, sigma_rgb={sigma_rgb!r}, kernels={kernels!r}"
            )
        self.compatibility = check_compatibility(compatibility)
        self.gate_source = gate_source
        self.gate_destination = gate_destination
        self.gate_padding = gate_padding
        self.normalization = normalization
        self.resolution = resolution
        self.from_logits = from_logits
        self.filter_method = filter_method

    @classmethod
    def published(cls, **overrides):
        """The paper's settings: radius 5, sigma_xy 6, sigma_rgb 0.1 of a standardized image, lambda 0.1.

        The paper's prediction has a quarter of the image's size, as does the loss's grid here: 6 cells of it
        are `sigma_xy=24` pixels of the image. Padding receives energy, as in the paper: see `gate_padding`.

        Args:
            **overrides: any constructor argument.
        """
        published = {"weight": 0.1, "gate_padding": False, "resolution": 0.25}
        if overrides.get("kernels") is None:
            # 0.1 times 0.226, ImageNet's standard deviation averaged over channels, which scales
            # standardized images.
            published |= {"sigma_xy": 24.0, "sigma_rgb": 0.0226}
        return cls(**{**published, **overrides})

    def energy(self, y_true, y_pred):
        seen = targets.read(y_true)
        labels = seen.labels
        y = ops.softmax(y_pred, axis=-1) if self.from_logits else y_pred
        height, width = grid_size(labels, self.resolution, y)
        y = resize_area(y, (height, width))
        positions = image_positions(labels, height, width)
        source, destination = self._masks(labels, height, width)
        guide = {name: resize_area(part, (height, width)) for name, part in seen.guide.items()}
        energy, mass = energy_and_mass(
            y,
            self._features(guide, positions),
            self.radius,
            [kernel.tensor("weight") for kernel in self.kernels or ()] or [1.0],
            source,
            destination,
            self.compatibility,
            self.filter_method,
        )
        if self.normalization == "kernel_mass":
            norm = mass
        elif destination is None:
            norm = ops.ones_like(energy) * ops.cast(height * width, "float32")
        else:
            norm = ops.sum(destination, axis=(1, 2))
        return ops.divide_no_nan(energy, mean_over_replicas(norm))

    def _check(self, name, value):
        if "sigma" in name:
            check_number(name, value, low=SMALLEST_SIGMA)
        return super()._check(name, value)

    def _features(self, guide, positions):
        if self.kernels is not None:
            return [kernel.features(guide, positions) for kernel in self.kernels]
        colors = of_guide(guide, "rgb") / self.tensor("sigma_rgb")
        return [ops.concatenate([positions / self.tensor("sigma_xy"), colors], axis=-1)]

    def _masks(self, labels, height, width):
        inside = labels != PADDING
        source = whole_cells(inside, height, width) if self.gate_source else None
        if not self.gate_destination:
            return source, source if self.gate_padding else None
        receives = labels == UNLABELED
        if not self.gate_source:
            receives = ops.logical_or(receives, ops.logical_not(inside))
        return source, whole_cells(receives, height, width)

    @property
    def annealed_variables(self):
        """The variables that hold the weight and the parameters of all kernels."""
        kernels = [variable for kernel in self.kernels or () for variable in kernel.annealed_variables]
        return super().annealed_variables + kernels

    def get_config(self):
        matrix = self.compatibility
        return {
            **super().get_config(),
            "radius": self.radius,
            "kernels": self.kernels and [keras.saving.serialize_keras_object(one) for one in self.kernels],
            "compatibility": None if matrix is None else matrix.tolist(),
            "gate_source": self.gate_source,
            "gate_destination": self.gate_destination,
            "gate_padding": self.gate_padding,
            "normalization": self.normalization,
            "resolution": self.resolution,
            "from_logits": self.from_logits,
            "filter_method": self.filter_method,
        }
