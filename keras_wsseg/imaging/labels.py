"""The two reserved values of a label map."""

UNLABELED = 255
"""A pixel of the image without annotation."""

PADDING = 254
"""A pixel that is not part of the image: crop padding, a rotated corner, a hole of the sensor."""

MOST_CLASSES = PADDING
"""Number of classes that fit below the reserved ids."""
