"""Writes the bare graph of a deployment, in this process if Keras runs on TensorFlow, else in another."""

import keras

from keras_wsseg.export import parity


def write_raw_graph(kind, prepared, draft, **options):
    """Writes the bare graph.

    Args:
        kind: name of the function in `conversion`.
        prepared: `Preparation`.
        draft: file or folder to write, in a folder that the caller cleans up.
        **options: further arguments of that function.

    Raises:
        ValueError: if an operation of the segmenter has no counterpart in the format.
    """
    # Operations that TF32 adds to a plain product have no counterpart in other formats.
    with parity.full_float32():
        if keras.backend.backend() == "tensorflow":
            from keras_wsseg.export import conversion

            getattr(conversion, kind)(prepared.deployment, prepared.form, draft, **options)
        else:
            from keras_wsseg.export.tensorflow_process import convert_in_subprocess

            convert_in_subprocess(kind, prepared.deployment, prepared.form, draft, **options)
