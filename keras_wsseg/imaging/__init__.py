"""The shared code for image and mask files: reading, writing, colors and the two reserved labels.

It requires NumPy, and Pillow only when a file is read or written, so that all other packages can use it,
including the minimal runtime of `export`.
"""

from keras_wsseg.imaging.image_error import ImageError
from keras_wsseg.imaging.label_map import check_label_map, read_label_map, write_label_map
from keras_wsseg.imaging.labels import PADDING, UNLABELED
from keras_wsseg.imaging.overlay import overlay
from keras_wsseg.imaging.palette import class_palette, voc_palette
from keras_wsseg.imaging.read_image import read_image
from keras_wsseg.imaging.rgb import rgb_image
from keras_wsseg.imaging.write_png import write_png

__all__ = [
    "PADDING",
    "UNLABELED",
    "ImageError",
    "check_label_map",
    "class_palette",
    "overlay",
    "read_image",
    "read_label_map",
    "rgb_image",
    "voc_palette",
    "write_label_map",
    "write_png",
]
