"""Visualizations of images, weak labels, predictions and kernels, as NumPy arrays and PNG files."""

from keras_wsseg.imaging.overlay import overlay
from keras_wsseg.imaging.palette import class_palette
from keras_wsseg.imaging.rgb import rgb_image
from keras_wsseg.imaging.write_png import write_png
from keras_wsseg.visualization.annealing_sheet import annealing_sheet
from keras_wsseg.visualization.contact_sheet import contact_sheet
from keras_wsseg.visualization.gradient_sheet import gradient_sheet
from keras_wsseg.visualization.kernel_mosaic import kernel_mosaic
from keras_wsseg.visualization.loss_gradient import loss_gradient, prediction_gradient
from keras_wsseg.visualization.neighbor_weights import neighbor_weights_image
from keras_wsseg.visualization.prediction_sheet import prediction_sheet
from keras_wsseg.visualization.tag_sheet import tag_sheet
from keras_wsseg.visualization.uncertainty import uncertainty, uncertainty_image

__all__ = [
    "annealing_sheet",
    "class_palette",
    "contact_sheet",
    "gradient_sheet",
    "kernel_mosaic",
    "loss_gradient",
    "neighbor_weights_image",
    "overlay",
    "prediction_gradient",
    "prediction_sheet",
    "rgb_image",
    "tag_sheet",
    "uncertainty",
    "uncertainty_image",
    "write_png",
]
