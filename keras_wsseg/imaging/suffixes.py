"""The suffixes of image files to look for in folders."""

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".tif", ".tiff", ".webp", ".npy")

LABEL_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".npy")
"""Of label maps: JPEG and lossy WebP alter ids."""
