"""Runs an exported segmenter with NumPy and ONNX Runtime alone."""

import logging
import os
import pathlib

import numpy as np

from keras_wsseg.arguments import check_integer
from keras_wsseg.export.input_images import to_batch
from keras_wsseg.export.prediction import run_classes, run_probabilities
from keras_wsseg.export.session import Session
from keras_wsseg.export.windows import Windows
from keras_wsseg.imaging.file_names import normal_name
from keras_wsseg.imaging.label_map import check_label_map, write_label_map
from keras_wsseg.imaging.overlay import check_opacity, color_layer, overlay
from keras_wsseg.imaging.read_image import read_image
from keras_wsseg.imaging.write_png import write_png


class OnnxSegmenter:
    """Runs a segmenter from an ONNX file written by `to_onnx`: images in, class maps out.

    It is for machines that run a segmenter but never train one: it imports neither Keras nor TensorFlow, and
    Pillow only to read an image from a path or to write a mask to a file. Arrays need no preprocessing but
    must be in `value_range`; one that does not fit is rejected, never converted silently. Image files are
    converted to the segmenter's channels, gray to RGB and color to gray, those of 8 bits scaled to its range,
    and oriented as image viewers show them.

    An image is a path, or an array `(height, width, channels)`, or `(height, width)` for a gray segmenter; a
    batch is an array `(batch, height, width, channels)`; a list holds images of any sizes. Results have the
    size of the image. Several threads may call one segmenter concurrently.

    Images too large for one run are split into overlapping windows, whose probabilities are blended linearly.
    Windows are aligned with the network's sampling grid on the whole image, so that away from their borders
    they reproduce the result of the whole image. This is impossible where the network pools the whole image
    to one value, or the file averages over scales (`tta`), whose grids are not the image's; and where it
    stretches coarse logits to a size that its stride does not divide, the grids are less than a stride apart.
    A file of fixed size runs every image in windows of its size; smaller images are padded by reflection.

    Args:
        path: file written by `to_onnx`.
        providers: ONNX Runtime's execution providers in order of preference: names, short (`"cuda"`,
            `"cpu"`) or full, or `(name, options)`. By default CUDA, ROCm, DirectML, CoreML or OpenVINO where
            the installed ONNX Runtime offers one that starts, else the CPU; TensorRT only by name, since it
            compiles for minutes at each new image size. CUDA runs in full float32 unless its options override
            this (TF32 would change probabilities by more than the export allows).
        threads: CPU threads for one image; by default one for each core.
        window: size of the windows in pixels, an integer or `(height, width)` of at least 128; `"auto"` runs
            images of up to 2048 x 1024 pixels whole and larger ones in windows of 1280; None runs all whole.
            Windows may be up to 31 pixels smaller, which keeps them on the network's grid.
        overlap: minimum number of pixels that neighboring windows share, up to half a window; by default 256,
            or a quarter of smaller windows. The middle half is blended.

    Attributes:
        class_names: tuple of the classes' names.
        palette: `(classes, 3)` uint8, red, green, blue.
        value_range: `(low, high)` of the images.
        channels: 1 for gray, 3 for RGB.
        metadata: dictionary of further strings in the file, such as `method`.
        outputs: tuple of the file's outputs, `"probabilities"`, `"classes"` or both.
        provider: name of the execution provider in use.
        provider_note: one line naming the provider in use and why it was chosen; it is also logged.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a segmenter written by `to_onnx`, a provider is not available here, or
            another argument is invalid.
        RuntimeError: if none of the requested `providers` could be started.

    Example:

    >>> segmenter = OnnxSegmenter(example, providers=["cpu"])
    >>> segmenter
    OnnxSegmenter('segmenter.onnx', 4 classes, 3 channels in [0, 255], CPUExecutionProvider)
    >>> segmenter(np.zeros((48, 65, 3), "uint8")).shape
    (48, 65)
    >>> segmenter.probabilities(np.zeros((2, 48, 65, 3), "uint8")).shape
    (2, 48, 65, 4)
    >>> segmenter.provider_note
    'CPUExecutionProvider: requested'
    """

    def __init__(self, path, providers=None, threads=None, window="auto", overlap=None):
        self.path = pathlib.Path(path)
        if self.path.is_dir():
            raise ValueError(f"`path` must be a file. Received: path={str(path)!r} which is a folder")
        if not self.path.is_file():
            raise FileNotFoundError(f"`path` must be an existing file. Received: path={str(path)!r}")
        if threads is not None:
            check_integer("threads", threads, low=1)
        self._session = Session(self.path, providers, threads)
        self._windows = Windows(window, overlap, self._session.fixed[1:])
        self.provider, self.provider_note = self._session.provider, self._session.note
        about = self._session.about
        self.class_names = about.class_names
        self.palette = np.array(about.palette, np.uint8)
        self.value_range = about.value_range
        self.channels = about.channels
        self.metadata = about.extra
        self.outputs = tuple(self._session.outputs)
        logging.getLogger("keras_wsseg").info("%s runs on %s", self.path.name, self.provider_note)

    def __call__(self, image):
        """The class of every pixel.

        Args:
            image: image, batch or list of images.

        Returns:
            `(height, width)` uint8 (int32 above 254 classes); `(batch, height, width)` for a batch; a list
            of class maps for a list.

        Raises:
            TypeError: if it is not an image.
            ValueError: if the size, channels or values do not fit the segmenter.
            FileNotFoundError: if a path does not exist.
            RuntimeError: if ONNX Runtime cannot run it, for example for lack of memory.
        """
        return self._each(image, run_classes)

    def probabilities(self, image):
        """The probability of each class at every pixel.

        Args:
            image: image, batch or list of images.

        Returns:
            `(height, width, classes)` float32; `(batch, height, width, classes)` for a batch; a list for a
            list.

        Raises:
            TypeError: if it is not an image.
            ValueError: if the size, channels or values do not fit the segmenter, or the file outputs classes
                only.
            FileNotFoundError: if a path does not exist.
            RuntimeError: if ONNX Runtime cannot run it, for example for lack of memory.
        """
        if "probabilities" not in self._session.outputs:
            raise ValueError(
                "`probabilities` must be an output of the file: export it with `probabilities` among its "
                f"`outputs`. Received: {self.path.name} with {', '.join(self._session.outputs)} alone"
            )
        return self._each(image, run_probabilities)

    def overlay(self, image, alpha=0.5, mask=None):
        """The image overlaid with its classes in the colors of the palette.

        Args:
            image: image, batch or list of images, gray or RGB.
            alpha: opacity of the colors, 0 (image only) to 1 (colors only).
            mask: the segmenter's result on `image`, to avoid a second run; a list for a list.

        Returns:
            `(height, width, 3)` uint8; `(batch, height, width, 3)` for a batch; a list for a list.

        Raises:
            ValueError: if `alpha` is outside 0 to 1, the mask does not fit, or the segmenter takes neither
                gray nor RGB images.
        """
        check_opacity(alpha)
        if self.channels not in (1, 3):
            raise ValueError(
                f"`overlay` needs gray or RGB images. Received: a segmenter of {self.channels} channels"
            )
        if not isinstance(image, list | tuple):
            return self._blend(image, alpha, mask)
        masks = [None] * len(image) if mask is None else mask
        if len(masks) != len(image):
            raise ValueError(f"`mask` must hold one for each of {len(image)} images. Received: {len(masks)}")
        return [self._blend(one, alpha, of_one) for one, of_one in zip(image, masks, strict=True)]

    def rgba(self, mask, alpha=0.5, transparent=None):
        """A class map as a color layer that other programs can overlay on the image.

        Args:
            mask: `(height, width)` integers: classes; reserved values beyond them stay transparent.
            alpha: opacity of the colors, 0 to 1.
            transparent: names of classes that stay transparent; by default `background`, where there is one.

        Returns:
            `(height, width, 4)` uint8: red, green, blue and opacity.

        Raises:
            ValueError: if `alpha` is outside 0 to 1, the mask is not a class map, or a name is not a class.
        """
        check_opacity(alpha)
        mask = _class_map(mask)
        names = [normal_name(name) for name in self.class_names]
        if transparent is None:
            transparent = [name for name in names if name == "background"]
        wanted = [normal_name(name) if isinstance(name, str) else name for name in transparent]
        if isinstance(transparent, str) or any(name not in names for name in wanted):
            raise ValueError(
                f"`transparent` must be a list of class names, out of {', '.join(self.class_names)}. "
                f"Received: transparent={transparent!r}"
            )
        return color_layer(mask, self.palette, alpha, [names.index(name) for name in wanted])

    def save_mask(self, path, mask):
        """Writes a class map as a PNG of class numbers that viewers show in the palette's colors.

        Args:
            path: the PNG to write.
            mask: `(height, width)` integers: class numbers, or reserved values up to 255.

        Raises:
            ImportError: if Pillow is not installed.
            FileNotFoundError: if the folder does not exist.
            TypeError, ValueError: if the mask is not a map of integers 0 to 255, or the path is not a .png.
        """
        write_label_map(path, check_label_map(mask, "mask"), self.palette)

    def save_overlay(self, path, mask, alpha=0.5, transparent=None):
        """Writes the layer returned by `rgba` as a PNG.

        Args:
            path: file to write; missing folders are created.
            mask, alpha, transparent: as `rgba` takes them.

        Raises:
            ImportError: if Pillow is not installed.
            ValueError: as `rgba`.
        """
        write_png(path, self.rgba(mask, alpha, transparent))

    def __repr__(self):
        low, high = self.value_range
        return (
            f"{type(self).__name__}({self.path.name!r}, {len(self.class_names)} classes, {self.channels} "
            f"channels in [{low:g}, {high:g}], {self.provider})"
        )

    def _each(self, image, run):
        if isinstance(image, list | tuple):
            return [self._one(one, run) for one in image]
        return self._one(image, run)

    def _one(self, image, run):
        if isinstance(image, list | tuple):
            raise TypeError(
                "`image` must be an image, a batch, or one list of images. Received: a list in a list"
            )
        images, is_batch = to_batch(image, self.channels, self.value_range, self._session.dtype)
        result = run(self._session, self._windows, images)
        return result if is_batch else result[0]

    def _blend(self, image, alpha, mask):
        if isinstance(image, str | os.PathLike):
            image = read_image(image, self.channels, self.value_range)
        images, is_batch = to_batch(image, self.channels, self.value_range, self._session.dtype)
        mask = np.asarray(self(image) if mask is None else mask)
        if mask.shape != images.shape[0 if is_batch else 1 : 3] or mask.dtype.kind not in "iu":
            raise ValueError(
                f"`mask` must hold an integer for each pixel of the image {images.shape[:3]}. "
                f"Received: shape={mask.shape}, dtype={mask.dtype}"
            )
        if mask.min() < 0 or mask.max() >= len(self.palette):
            raise ValueError(
                f"`mask` must hold classes below {len(self.palette)}. Received: {mask.min()} to {mask.max()}"
            )
        masks = mask if is_batch else mask[None]
        painted = [
            overlay(one, of_image, self.palette, alpha, self.value_range)
            for one, of_image in zip(images, masks, strict=True)
        ]
        return np.stack(painted) if is_batch else painted[0]


def _class_map(mask):
    mask = np.asarray(mask)
    if mask.dtype.kind not in "iu" or mask.ndim != 2 or not mask.size:
        raise ValueError(
            "`mask` must be a class map (height, width) of integers. "
            f"Received: shape={mask.shape}, dtype={mask.dtype}"
        )
    return mask
