"""The metadata of an exported segmenter as a JSON file, for formats that can include one."""

import json

import keras_wsseg

FILE_NAME = "segmenter.json"
# ONNX metadata holds strings only, so these are already JSON there.
NO_TEXTS = ("class_names", "palette", "value_range", "channels")


def metadata_json(about):
    """The same entries as in the metadata of an ONNX file, with lists and numbers as JSON values.

    Args:
        about: `SegmenterMetadata`.

    Returns:
        JSON text.
    """
    properties = about.to_properties(keras_wsseg.__version__)
    properties.update({name: json.loads(properties[name]) for name in NO_TEXTS})
    return json.dumps(properties, ensure_ascii=False, indent=2) + "\n"
