"""Runs an exported segmenter with numpy and onnxruntime alone."""

import os
import pathlib

import numpy as np

from keras_wsseg.export.metadata import SegmenterMetadata
from keras_wsseg.export.pictures import read_picture, to_batch

try:
    import onnxruntime
except ImportError as error:
    raise ImportError(
        "OnnxSegmenter needs ONNX Runtime: `pip install onnxruntime`, or `onnxruntime-gpu` for a GPU"
    ) from error

CPU = "CPUExecutionProvider"
# Reserved numbers in a mask show in the colour that Pascal VOC gives to what has no class.
VOID = (224, 224, 192)
GPUS = ("CUDAExecutionProvider", "ROCMExecutionProvider", "DmlExecutionProvider")


class OnnxSegmenter:
    """A segmenter out of an ONNX file that `to_onnx` wrote: pictures in, class maps out.

    It is for machines that run a segmenter but never train one: it imports neither Keras nor TensorFlow, and
    Pillow only when a path comes in or a mask goes out to a file. Pictures come as they are, in the range
    `value_range`; what does not fit is refused, and nothing is converted silently.

    A picture is a path, or an array `(height, width, channels)`, or `(height, width)` for a grey segmenter; a
    batch is an array `(batch, height, width, channels)`; a list holds pictures of any sizes.

    Args:
        path: file written by `to_onnx`.
        providers: ONNX Runtime's execution providers in order of preference, as its `InferenceSession` takes
            them. By default the GPU when there is one, in full float32 (TF32 would move probabilities
            further than the export allows), else the CPU.
        threads: CPU threads for one picture; by default one for each core.

    Attributes:
        class_names: tuple of the classes' names.
        palette: `(classes, 3)` uint8, red, green, blue.
        value_range: `(low, high)` of the pictures.
        channels: 1 for grey, 3 for RGB.
        metadata: dictionary of the further texts in the file, such as `method`.
        provider: name of the execution provider that was taken.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a segmenter written by `to_onnx`, or a provider is unknown here.
        RuntimeError: if none of the `providers` asked for could be started.

    Example:

    >>> segmenter = OnnxSegmenter(example)
    >>> segmenter
    OnnxSegmenter('segmenter.onnx', 4 classes, 3 channels in [0, 255], CPUExecutionProvider)
    >>> segmenter(np.zeros((48, 65, 3), "uint8")).shape
    (48, 65)
    >>> segmenter.probabilities(np.zeros((2, 48, 65, 3), "uint8")).shape
    (2, 48, 65, 4)
    """

    def __init__(self, path, providers=None, threads=None):
        self.path = pathlib.Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"`path` must be an existing file. Received: path={str(path)!r}")
        if threads is not None and (not isinstance(threads, int) or threads < 1):
            raise ValueError(f"`threads` must be an integer of at least 1. Received: threads={threads}")
        self._session = _start(self.path, _choose(providers), threads)
        self.provider = self._session.get_providers()[0]
        if providers is not None and self.provider not in _names(providers):
            raise RuntimeError(
                f"`providers` must hold one that starts on this machine. Received: providers={providers}, of "
                f"which none did"
            )
        about = self._read_metadata()
        self.class_names = about.class_names
        self.palette = np.array(about.palette, np.uint8)
        self.value_range = about.value_range
        self.channels = about.channels
        self.metadata = about.extra

    def __call__(self, image):
        """The class of every pixel.

        Args:
            image: picture, batch or list of pictures.

        Returns:
            `(height, width)` uint8 (int32 above 254 classes); `(batch, height, width)` for a batch; a list
            of class maps for a list.

        Raises:
            TypeError: if it is no picture.
            ValueError: if size, channels or values do not fit the segmenter.
            FileNotFoundError: if a path leads nowhere.
        """
        return self._each(image, lambda one: self._run("classes", one))

    def probabilities(self, image):
        """The probability of each class at every pixel.

        Args:
            image: picture, batch or list of pictures.

        Returns:
            `(height, width, classes)` float32; `(batch, height, width, classes)` for a batch; a list for a
            list.

        Raises:
            TypeError: if it is no picture.
            ValueError: if size, channels or values do not fit the segmenter.
            FileNotFoundError: if a path leads nowhere.
        """
        return self._each(image, lambda one: self._run("probabilities", one))

    def overlay(self, image, alpha=0.5, mask=None):
        """The picture with its classes painted over it in the colours of the palette.

        Args:
            image: picture, batch or list of pictures, grey or RGB.
            alpha: strength of the colours, 0 (picture alone) to 1 (colours alone).
            mask: what calling the segmenter on `image` gave, to save a second run; a list for a list.

        Returns:
            `(height, width, 3)` uint8; `(batch, height, width, 3)` for a batch; a list for a list.

        Raises:
            ValueError: if `alpha` is outside 0 to 1, the mask does not fit, or the segmenter takes neither
                grey nor RGB pictures.
        """
        if not 0 <= alpha <= 1:
            raise ValueError(f"`alpha` must be 0 to 1. Received: alpha={alpha}")
        if self.channels not in (1, 3):
            raise ValueError(
                f"`overlay` needs grey or RGB pictures. Received: a segmenter of {self.channels} channels"
            )
        if not isinstance(image, list | tuple):
            return self._blend(image, alpha, mask)
        masks = [None] * len(image) if mask is None else mask
        if len(masks) != len(image):
            raise ValueError(
                f"`mask` must hold one for each of {len(image)} pictures. Received: {len(masks)}"
            )
        return [self._blend(one, alpha, of_one) for one, of_one in zip(image, masks, strict=True)]

    def save_mask(self, path, mask):
        """Writes a class map as a PNG that holds the class numbers and shows in the palette's colours.

        Args:
            path: file to write.
            mask: `(height, width)` integers: class numbers, or reserved ones up to 255.

        Raises:
            ImportError: if Pillow is not installed.
            ValueError: if the mask is not a map of integers 0 to 255.
        """
        mask = np.asarray(mask)
        whole = mask.dtype.kind in "iu" and mask.ndim == 2 and mask.size > 0
        if not whole or mask.min() < 0 or mask.max() > 255:
            raise ValueError(
                "`mask` must be a class map (height, width) of integers 0 to 255. "
                f"Received: shape={mask.shape}, dtype={mask.dtype}"
            )
        try:
            from PIL import Image
        except ImportError as error:
            raise ImportError("Writing a mask needs Pillow: `pip install pillow`") from error
        path = pathlib.Path(path)
        colours = np.full((256, 3), VOID, np.uint8)
        colours[: len(self.palette)] = self.palette[:256]
        picture = Image.fromarray(mask.astype(np.uint8))
        picture.putpalette(colours.tobytes())
        draft = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            picture.save(draft, format="PNG")
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)

    def __repr__(self):
        low, high = self.value_range
        return (
            f"{type(self).__name__}({self.path.name!r}, {len(self.class_names)} classes, {self.channels} "
            f"channels in [{low:g}, {high:g}], {self.provider})"
        )

    def _read_metadata(self):
        inputs = [item.name for item in self._session.get_inputs()]
        outputs = [item.name for item in self._session.get_outputs()]
        if inputs != ["image"] or outputs != ["probabilities", "classes"]:
            raise ValueError(
                "`path` must be a segmenter written by `to_onnx`, from `image` to `probabilities` and "
                f"`classes`. Received: path={str(self.path)!r} from {inputs} to {outputs}"
            )
        try:
            return SegmenterMetadata.from_properties(self._session.get_modelmeta().custom_metadata_map)
        except ValueError as error:
            raise ValueError(
                f"`path` must be a segmenter written by `to_onnx`. Received: path={str(self.path)!r}: {error}"
            ) from error

    def _each(self, image, run):
        if isinstance(image, list | tuple):
            return [run(one) for one in image]
        return run(image)

    def _run(self, output, image):
        if isinstance(image, list | tuple):
            raise TypeError(
                "`image` must be a picture, a batch, or one list of pictures. Received: a list in a list"
            )
        pictures, is_batch = to_batch(image, self.channels, self.value_range)
        fixed = self._session.get_inputs()[0].shape[:3]
        for axis, limit, size in zip(("batch", "height", "width"), fixed, pictures.shape, strict=False):
            if isinstance(limit, int) and limit != size:
                raise ValueError(
                    f"`image` must have {axis} {limit}, since this segmenter was built for a fixed size. "
                    f"Received: {axis} {size}"
                )
        result = self._session.run([output], {"image": pictures})[0]
        return result if is_batch else result[0]

    def _blend(self, image, alpha, mask):
        if isinstance(image, str | os.PathLike):
            image = read_picture(image)
        pictures, is_batch = to_batch(image, self.channels, self.value_range)
        mask = np.asarray(self(image) if mask is None else mask)
        if mask.shape != pictures.shape[0 if is_batch else 1 : 3] or mask.dtype.kind not in "iu":
            raise ValueError(
                f"`mask` must hold an integer for each pixel of the picture {pictures.shape[:3]}. "
                f"Received: shape={mask.shape}, dtype={mask.dtype}"
            )
        if mask.min() < 0 or mask.max() >= len(self.palette):
            raise ValueError(
                f"`mask` must hold classes below {len(self.palette)}. Received: {mask.min()} to {mask.max()}"
            )
        low, high = self.value_range
        grey_or_rgb = (pictures if is_batch else pictures[0]) - low
        blended = (1 - alpha) * grey_or_rgb * (255 / (high - low)) + alpha * self.palette[mask]
        return np.rint(np.clip(blended, 0, 255)).astype(np.uint8)


def _names(providers):
    return [item if isinstance(item, str) else item[0] for item in providers]


def _choose(providers):
    here = onnxruntime.get_available_providers()
    if providers is None:
        gpus = [(name, {"use_tf32": "0"} if name == GPUS[0] else {}) for name in GPUS if name in here]
        return [*gpus, CPU]
    if isinstance(providers, str) or not providers:
        raise ValueError(f"`providers` must be a list of names. Received: providers={providers!r}")
    unknown = [name for name in _names(providers) if name not in here]
    if unknown:
        raise ValueError(
            f"`providers` must be among those of the installed ONNX Runtime, {', '.join(here)}. "
            f"Received: {', '.join(unknown)}"
        )
    return list(providers)


def _start(path, providers, threads):
    options = onnxruntime.SessionOptions()
    # A GPU that is missing or a driver that is too old is answered by `provider`, not by pages of warnings.
    options.log_severity_level = 4
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            "`path` must be a whole ONNX file; this one may be cut off or of another kind. "
            f"Received: path={str(path)!r}, of which ONNX Runtime says: {said}"
        ) from error
