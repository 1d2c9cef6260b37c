"""The one road for picture and mask files: reading, writing, colours and the two reserved labels.

It needs NumPy, and Pillow only once a file is read or written, so that every other room can use it, the bare
run time of `export` too.
"""

from keras_wsseg.imaging.label_map import check_label_map, read_label_map, write_label_map
from keras_wsseg.imaging.labels import OUTSIDE, UNLABELLED
from keras_wsseg.imaging.overlay import overlay
from keras_wsseg.imaging.palette import class_palette, voc_palette
from keras_wsseg.imaging.picture_error import PictureError
from keras_wsseg.imaging.read_picture import read_picture
from keras_wsseg.imaging.rgb import rgb_picture
from keras_wsseg.imaging.write_png import write_png

__all__ = [
    "OUTSIDE",
    "UNLABELLED",
    "PictureError",
    "check_label_map",
    "class_palette",
    "overlay",
    "read_label_map",
    "read_picture",
    "rgb_picture",
    "voc_palette",
    "write_label_map",
    "write_png",
]
