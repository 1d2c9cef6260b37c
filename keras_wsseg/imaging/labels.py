"""The two reserved values of a label map."""

UNLABELED = 255
"""A pixel of the image that carries no annotation."""

PADDING = 254
"""A pixel that is not part of the image: crop padding, a rotated corner, a hole of the sensor."""

MOST_CLASSES = PADDING
"""How many classes the ids below the reserved ones tell apart."""
