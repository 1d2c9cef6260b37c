"""The response formats of a class map."""

import dataclasses
import io
import json

import numpy as np
from PIL import Image

from keras_wsseg.imaging.label_map import label_image
from keras_wsseg.serving.request_error import RequestError

FIELDS = ("format", "alpha")
FORMATS = ("mask", "overlay", "rgba", "probabilities", "json")
MOST_PROBABILITY_BYTES = 256 * 1024 * 1024
_BLENDED = ("overlay", "rgba")
# Photographs are like noise to PNG: more effort takes longer and hardly makes them smaller.
_FAST = 1


@dataclasses.dataclass(frozen=True)
class AnswerFormat:
    """The requested response format.

    Args:
        name: `"mask"`: PNG of class numbers, shown in the palette's colors; `"overlay"`: PNG of the image
            under these colors; `"rgba"`: PNG of the colors only, to overlay on the image; `"probabilities"`:
            NumPy file, float32 (height, width, classes); `"json"`: pixels of each class.
        alpha: opacity of the colors of `"overlay"` and `"rgba"`, 0 to 1.

    Example:

    >>> AnswerFormat.from_query({"format": "rgba", "alpha": "0.3"})
    AnswerFormat(name='rgba', alpha=0.3)
    """

    name: str = "mask"
    alpha: float = 0.5

    @classmethod
    def from_query(cls, query):
        """Parses the query of a URL.

        Args:
            query: mapping from name to string.

        Raises:
            RequestError: 400 if it contains anything other than `format=` and `alpha=`.
        """
        unknown = sorted(set(query) - {*FIELDS})
        if unknown:
            raise RequestError(
                400, f"The query must contain only format= and alpha=. Received: {unknown[0][:100]!r}"
            )
        name = query.get("format", "mask")
        if name not in FORMATS:
            raise RequestError(400, f"format must be one of {', '.join(FORMATS)}. Received: {name[:100]!r}")
        if "alpha" not in query:
            return cls(name)
        if name not in _BLENDED:
            raise RequestError(400, f"alpha requires format=overlay or format=rgba. Received: format={name}")
        try:
            alpha = float(query["alpha"])
        except ValueError:
            alpha = -1.0
        if not 0 <= alpha <= 1:
            raise RequestError(400, f"alpha must be 0 to 1. Received: {query['alpha'][:100]!r}")
        return cls(name, alpha)

    def check_outputs(self, outputs):
        """Raises a `RequestError`, 400, if a segmenter with these `outputs` does not support the format."""
        if self.name == "probabilities" and self.name not in outputs:
            raise RequestError(
                400,
                "format must be another, since this segmenter outputs classes only. Received: probabilities",
            )

    def check_size(self, size, classes):
        """Raises a `RequestError`, 413, if the response for an image of `size` would be too large."""
        needed = 4 * classes * size[0] * size[1]
        if self.name == "probabilities" and needed > MOST_PROBABILITY_BYTES:
            raise RequestError(
                413,
                f"Probabilities must have at most {MOST_PROBABILITY_BYTES} bytes: send a smaller image or "
                f"request another format. Received: {needed} bytes for {size[0]}x{size[1]} pixels",
            )

    def segment(self, segmenter, image):
        """Runs the segmenter for the output of this format: probabilities, or else the class map."""
        return segmenter.probabilities(image) if self.name == "probabilities" else segmenter(image)

    def encode(self, segmenter, image, result):
        """Encodes the response.

        Args:
            segmenter: `OnnxSegmenter`.
            image: the segmented array.
            result: the result of `segment`.

        Returns:
            `(body, media type)`.
        """
        if self.name == "probabilities":
            with io.BytesIO() as file:
                np.save(file, result)
                return file.getvalue(), "application/octet-stream"
        if self.name == "json":
            return _counts(segmenter, result), "application/json"
        if self.name == "overlay":
            return _png(Image.fromarray(segmenter.overlay(image, self.alpha, result)), _FAST), "image/png"
        if self.name == "rgba":
            return _png(Image.fromarray(segmenter.rgba(result, self.alpha))), "image/png"
        return _png(_mask(segmenter, result)), "image/png"


def _mask(segmenter, mask):
    if len(segmenter.palette) > 256:
        return Image.fromarray(mask.astype(np.uint16))
    return label_image(mask, segmenter.palette)


def _counts(segmenter, mask):
    counts = np.bincount(mask.ravel(), minlength=len(segmenter.class_names)).tolist()
    classes = [
        {"class": number, "name": name, "pixels": count, "share": count / mask.size}
        for number, (name, count) in enumerate(zip(segmenter.class_names, counts, strict=True))
    ]
    content = {"height": mask.shape[0], "width": mask.shape[1], "classes": classes}
    return json.dumps(content, ensure_ascii=False).encode()


def _png(image, level=6):
    with io.BytesIO() as file:
        image.save(file, format="PNG", compress_level=level)
        return file.getvalue()
