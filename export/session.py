"""Opens the graph of a segmenter's file, validates its inputs and outputs, and runs it."""

import numpy as np

from keras_wsseg.export.metadata import SegmenterMetadata
from keras_wsseg.export.providers import CUDA, reason_of, start
from keras_wsseg.export.windows import LARGEST_WHOLE

OUTPUTS = ("probabilities", "classes")
TYPES = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}
# Providers whose outputs are in device memory, and ONNX Runtime's name of that device.
BOUND_TO = {CUDA: "cuda", "TensorrtExecutionProvider": "cuda"}


class Session:
    """A file opened by ONNX Runtime and validated as a segmenter.

    Several threads may run one session concurrently: ONNX Runtime allows it, and nothing here changes once it
    is opened.

    Args:
        path, providers, threads: as `OnnxSegmenter` takes them; the file exists.

    Attributes:
        note: which provider was chosen and why.
        provider: its name.
        about: `SegmenterMetadata`.
        outputs: those of `probabilities` and `classes` that the file outputs.
        dtype: of the images that the graph takes, float32 or uint8.
        fixed: `(batch, height, width)`, None where the graph takes any.

    Raises:
        ValueError: if the file is not a segmenter.
        RuntimeError: if none of the `providers` starts.
    """

    def __init__(self, path, providers, threads):
        self._path = path
        self._session, self.note = start(path, providers, threads)
        self.provider = self._session.get_providers()[0]
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        self.outputs = tuple(item.name for item in outputs)
        kinds = [(item.name, item.type, len(item.shape)) for item in inputs]
        is_image = [(name, kind in TYPES, rank) for name, kind, rank in kinds] == [("image", True, 4)]
        if not is_image or not self.outputs or not {*self.outputs} <= {*OUTPUTS}:
            raise ValueError(
                "`path` must be a segmenter written by `to_onnx`, from `image` to `probabilities` or "
                f"`classes`. Received: path={str(path)!r} from {[name for name, *_ in kinds]} to "
                f"{list(self.outputs)}"
            )
        self.dtype = TYPES[inputs[0].type]
        *sizes, channels = inputs[0].shape
        self.fixed = tuple(size if isinstance(size, int) else None for size in sizes)
        try:
            self.about = SegmenterMetadata.from_properties(self._session.get_modelmeta().custom_metadata_map)
            classes = {item.name: item.shape for item in outputs}.get("probabilities", [None])[-1]
            for name, declared, given in (
                ("channels", self.about.channels, channels),
                ("classes", len(self.about.class_names), classes),
            ):
                if isinstance(given, int) and given != declared:
                    raise ValueError(f"its metadata says {declared} {name}, its graph {given}")
        except ValueError as error:
            raise ValueError(
                f"`path` must be a segmenter written by `to_onnx`. Received: path={str(path)!r}: {error}"
            ) from error

    def run(self, output, images):
        """One output for images of one size.

        Args:
            output: `"probabilities"` or `"classes"`, one of `outputs`.
            images: `(batch, height, width, channels)` of a size that the graph takes, with values that
                `dtype` holds. A batch of any size is run in parts that fit the graph and memory.

        Returns:
            `(batch, height, width, classes)` float32 or `(batch, height, width)` integers.

        Raises:
            RuntimeError: if ONNX Runtime cannot run them, for example for lack of memory.
        """
        height, width = images.shape[1:3]
        step = self.fixed[0] or max(1, LARGEST_WHOLE // (height * width))
        parts = [
            self._run_part(output, images[first : first + step]) for first in range(0, len(images), step)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _run_part(self, output, images):
        wanted = len(images)
        if self.fixed[0] and wanted < self.fixed[0]:
            images = np.concatenate([images, np.repeat(images[-1:], self.fixed[0] - wanted, axis=0)])
        images = np.ascontiguousarray(images, self.dtype)
        try:
            if self.provider in BOUND_TO:
                result = self._run_bound(output, images, BOUND_TO[self.provider])
            else:
                result = self._session.run([output], {"image": images})[0]
        except Exception as error:
            raise RuntimeError(
                f"ONNX Runtime cannot run {self._path.name} on {len(images)} x {images.shape[1]} x "
                f"{images.shape[2]} pixels with {self.provider}; a smaller `window` takes less memory. "
                f"Received: {reason_of(error)}"
            ) from error
        if result.shape[1:3] != images.shape[1:3]:
            raise RuntimeError(
                f"{self._path.name} must give its results at the size of the image. Received: "
                f"{result.shape[1:3]} for {images.shape[1:3]}"
            )
        return result[:wanted]

    def _run_bound(self, output, images, device):
        """Copies only the requested output from the device."""
        binding = self._session.io_binding()
        binding.bind_cpu_input("image", images)
        binding.bind_output(output, device)
        self._session.run_with_iobinding(binding)
        return binding.copy_outputs_to_cpu()[0]
