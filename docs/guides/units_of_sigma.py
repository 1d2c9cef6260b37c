"""
Units of sigma

A kernel compares two pixels by their distance and by their colors, and each sigma says how much of a
difference still counts as alike. Papers and their code measure sigma in different units. Here there is one
for each: **pixels of the image** for position, and **units of an image in [0, 1]** for color. This guide
converts the published values, and shows how to find a start for images of your own.
"""

import numpy as np

import keras_wsseg as wsseg
from keras_wsseg import kernels, losses, targets, visualization

images, labels, class_names = wsseg.data.synthetic_shapes(8, size=96)
guide = images / 255

"""
## One unit of color

**A `sigma_rgb` is in units of an image in [0, 1]**, for gray images too. `value_range` of
`WeaklySupervisedModel` says what black and white are, so the unit is the same for 8 bits, 16 bits and
floating point. For 12 bits in files of 16, say `value_range=(0, 4095)`: with 65535 all colors would look
alike.

| published | there | here |
|---|---|---|
| gated CRF, σ_rgb = 0.1 | of a *standardized* image, divided by a deviation of 0.226 (the mean of ImageNet's three) | 0.0226 |
| dense CRF loss, σ_rgb = 15 | of 255 | 15 / 255 = 0.059 |
| mean-field CRF, σ_rgb = 13 | of 255 | 13 / 255 = 0.051 |
| sparse CRF, σ = 0.15 | of [0, 1] | 0.15 |

Convert kernels of your own only if they were tuned on standardized images:
"""

standardized_sigma, deviation = 0.1, np.mean(wsseg.layers.IMAGENET_STD)
print("0.1 of a standardized image is", round(standardized_sigma * deviation, 4))
published = losses.GatedCRFLoss.published()
print("the published gated CRF:", published.sigma_xy, "pixels,", published.sigma_rgb, "of [0, 1]")

"""
## One unit of position

**A `sigma_xy` is in pixels of the image**, in every loss and layer, whatever the size of the prediction and
whatever `resolution` the loss is computed at. Published values that are in cells of a coarser grid are
converted: the gated CRF's 6 cells at a quarter of the image are 24 pixels.

| loss or layer | default | published, in pixels of the image |
|---|---|---|
| `GatedCRFLoss` | 12, at `resolution=0.5` | 24: 6 cells of a grid at a quarter of the image (`GatedCRFLoss.published()`) |
| `DenseCRFLoss`, `NormalizedCutLoss`, `KernelCutLoss`, `ADMLoss` | 100 | 100, for images of 513 |
| `DenseEnergyLoss` | 100 | 100 |
| `NeighborhoodLoss(kernels=…)` | 80 and 3 | 80 and 3 |
| `MeanFieldCRF(kernels=…)` | 80 and 3 | 80 and 3 |
| `SparseCRFLoss` | has none: it compares direct neighbors | – |

The published 100 belongs to images of 513 pixels. **Scale it with your images**:
"""

size = images.shape[1]
sigma_xy = 100 * size / 513
print(f"for images of {size} pixels: sigma_xy = {sigma_xy:.0f}")
crf = losses.DenseCRFLoss(sigma_xy=sigma_xy)

"""
`resolution=0.5` computes a loss at half the image's size, in a fraction of the time, and no sigma changes.
Only a `radius` is in cells of that grid: 5 cells at a half reach 10 pixels of the image, and 20 at a
quarter. A window that ends far within `sigma_xy` weighs all of its pixels about alike, so change the two
together.

## Which sigma to start with

| | `sigma_xy` | `sigma_rgb` |
|---|---|---|
| gated CRF | 12, with `radius=5` at `resolution=0.5` (the default) | 0.03 (the default) |
| dense losses | `100 * size / 513`; 30 was used for hearts of 160 pixels, 70 for street scenes | 15 / 255 (the default) |
| sparse CRF | – | 0.15, annealed from 0.05 |
| windowed CRF as post-processing | 6 (`crf_preset`) | 13 / 255 |

Then look at your images. A good sigma of color is above the noise between neighbors of one surface, and
below the step at an object's border:
"""

steps = np.linalg.norm(np.diff(guide, axis=2), axis=-1)
border = np.diff(labels.astype(int), axis=2) != 0
print(f"inside: median step {np.median(steps[~border]):.3f}; at borders: {np.median(steps[border]):.3f}")

"""
`visualization.kernel_mosaic` paints the kernel in a window around each of several anchors, white where it is
1, "alike":
"""

mosaic = visualization.kernel_mosaic(images[0], sigma_xy=12, sigma_rgb=0.03, radius=10)
visualization.write_png("kernel.png", mosaic)

"""
All white: sigma is too large, and borders do not count. Black but for the middle: too small, and nothing
spreads.

## The weight goes with the units

The dense CRF loss is divided by its kernel mass, so that one weight serves every resolution. Published
weights, 2e-9 and the like, act on the raw sum; `published_weight` converts them for your images:
"""

y_true = targets.pack(np.full(labels.shape, 255), guide.astype("float32"))
print("2e-9 of the public code is", round(crf.published_weight(y_true), 4), "for these small images")

"""
On photographs at 513 pixels it comes to 0.1 to 0.5. The gated CRF is divided by the number of receiving
pixels, as published, and its energy grows with the window; `normalization="kernel_mass"` divides by the
kernel mass instead, an energy within [0, 1] whatever window and image.

## Changing sigma while training

Every sigma and every weight is a number that may change between steps, compiled or not.
"""

gated = losses.GatedCRFLoss(sigma_xy=12, sigma_rgb=0.03)
sharper = wsseg.callbacks.ParameterScheduler(gated, "sigma_rgb", lambda epoch: 0.06 - 0.001 * epoch)
wider = wsseg.callbacks.ParameterScheduler(crf, "sigma_xy", lambda epoch: sigma_xy + epoch)

"""
With `kernels=` the numbers are those of each kernel:
"""

kernel = kernels.GaussianKernel(sigma_xy=12, sigma_rgb=0.03, sigma_depth=0.05)
with_depth = losses.GatedCRFLoss(kernels=kernel)
deeper = wsseg.callbacks.ParameterScheduler(
    with_depth.kernels[0], "sigma_depth", lambda epoch: 0.05 + 0.01 * epoch
)
