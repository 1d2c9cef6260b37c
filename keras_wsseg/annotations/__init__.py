"""Weak labels as arrays: files of scribbles and clicks, and their simulation from dense labels."""

from keras_wsseg.annotations.clicks import enlarge_clicks, simulate_clicks
from keras_wsseg.annotations.grabcut import grabcut_proposals
from keras_wsseg.annotations.scribbles import simulate_scribbles
from keras_wsseg.annotations.shorten_scribbles import shorten_scribbles
from keras_wsseg.annotations.tags import multi_hot, read_tags, tags_of_labels, write_tags
from keras_wsseg.imaging.label_map import check_label_map, read_label_map, write_label_map
from keras_wsseg.imaging.labels import PADDING, UNLABELED
from keras_wsseg.imaging.palette import voc_palette

__all__ = [
    "PADDING",
    "UNLABELED",
    "check_label_map",
    "enlarge_clicks",
    "grabcut_proposals",
    "multi_hot",
    "read_label_map",
    "read_tags",
    "shorten_scribbles",
    "simulate_clicks",
    "simulate_scribbles",
    "tags_of_labels",
    "voc_palette",
    "write_label_map",
    "write_tags",
]
