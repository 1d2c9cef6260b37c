"""The metadata of an exported segmenter, and how it is written to and read from an ONNX file."""

import dataclasses
import json

from keras_wsseg.arguments import check_value_range

OUTPUTS = ("probabilities", "classes")
WRITTEN_BY_EXPORT = ("crf", "input_dtype", "precision", "tta")
_FORMER_NAMES = {"input": "input_dtype", "refine": "crf"}
"""Their names in files of version 0.1."""
RESERVED = ("class_names", "palette", "value_range", "channels", "preprocessing", "producer_version")


@dataclasses.dataclass(frozen=True)
class SegmenterMetadata:
    """What a file must contain so that it can be run without a recipe.

    Args:
        class_names: one string for each class.
        palette: one `(red, green, blue)` for each class, integers 0 to 255.
        value_range: `(low, high)` of the images that the graph takes.
        channels: channels of those images.
        extra: further strings by name, such as `method`.

    Raises:
        ValueError: if the parts do not fit together.
    """

    class_names: tuple
    palette: tuple
    value_range: tuple
    channels: int
    extra: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        names = self.class_names
        if len(set(names)) != len(names) or not all(isinstance(name, str) and name for name in names):
            raise ValueError(f"`class_names` must be distinct strings. Received: class_names={list(names)}")
        if len(self.palette) != len(names) or not all(_is_color(color) for color in self.palette):
            raise ValueError(
                f"`palette` must hold (red, green, blue) of 0 to 255 for each of the {len(names)} classes. "
                f"Received: palette={list(self.palette)}"
            )
        check_value_range(self.value_range)
        for key, value in self.extra.items():
            if key in RESERVED or not isinstance(key, str) or not isinstance(value, str):
                raise ValueError(
                    f"`metadata` must map strings to strings under names other than {', '.join(RESERVED)}. "
                    f"Received: metadata={{{key!r}: {value!r}}}"
                )

    def to_properties(self, producer_version):
        """The entries for the `metadata_props` of an ONNX file.

        Args:
            producer_version: version of the library that writes the file.

        Returns:
            Dictionary from string to string.
        """
        low, high = self.value_range
        order = {1: "gray", 3: "RGB"}.get(self.channels, f"{self.channels}-channel")
        return {
            "class_names": json.dumps(list(self.class_names), ensure_ascii=False),
            "palette": json.dumps([list(color) for color in self.palette]),
            "value_range": json.dumps([low, high]),
            "channels": str(self.channels),
            "preprocessing": (
                f"none: give {order} images as {self.extra.get('input_dtype', 'float32')} "
                f"(batch, height, width, channels) between {low:g} and {high:g}; the graph normalizes inside"
            ),
            "producer_version": producer_version,
            **self.extra,
        }

    @classmethod
    def from_properties(cls, properties):
        """Reads what `to_properties` wrote.

        Args:
            properties: dictionary from string to string.

        Returns:
            The metadata.

        Raises:
            ValueError: if an entry is missing or cannot be parsed.
        """
        missing = [name for name in RESERVED if name not in properties]
        if missing:
            raise ValueError(f"its metadata lacks {', '.join(missing)}")
        # Current files always state the type; in these the former names are free for user-supplied strings.
        former = {} if "input_dtype" in properties else _FORMER_NAMES
        try:
            return cls(
                class_names=tuple(json.loads(properties["class_names"])),
                palette=tuple(tuple(color) for color in json.loads(properties["palette"])),
                value_range=tuple(float(x) for x in json.loads(properties["value_range"])),
                channels=int(properties["channels"]),
                extra={
                    former.get(key, key): value for key, value in properties.items() if key not in RESERVED
                },
            )
        except (TypeError, ValueError) as error:
            raise ValueError(f"its metadata cannot be read: {error}") from error


def _is_color(color):
    return len(color) == 3 and all(isinstance(x, int) and 0 <= x <= 255 for x in color)
