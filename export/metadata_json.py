"""What an exported segmenter says about itself, as a JSON file for the formats that carry such files."""

import json

import keras_wsseg

FILE_NAME = "segmenter.json"
# ONNX knows texts alone, so these are JSON there already.
NO_TEXTS = ("class_names", "palette", "value_range", "channels")


def metadata_json(about):
    """The same entries as in the metadata of an ONNX file, lists and numbers as such.

    Args:
        about: `SegmenterMetadata`.

    Returns:
        JSON text.
    """
    properties = about.to_properties(keras_wsseg.__version__)
    properties.update({name: json.loads(properties[name]) for name in NO_TEXTS})
    return json.dumps(properties, ensure_ascii=False, indent=2) + "\n"
