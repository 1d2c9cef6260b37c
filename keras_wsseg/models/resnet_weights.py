"""Loading of ResNet encoder weights from a local file of Keras or torchvision."""

import pathlib

import keras
import numpy as np

_OF_BATCH_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def load_resnet_weights(encoder, path):
    """Loads the weights of an encoder from a file.

    Results with clicks and scribbles depend strongly on pretrained encoders; this loads them without the
    framework that trained them.

    Args:
        encoder: model created by `resnet_encoder`.
        path: a file whose suffix determines its format. `.weights.h5` and `.keras`: such an encoder, or a
            model with its layers, saved by Keras. `.npz`, and `.safetensors` if the package of that name is
            installed: torchvision's arrays under torchvision's names (`conv1.weight`,
            `layer1.0.bn1.running_mean`, …), with kernels in the order out, in, height, width. The classifier
            `fc` and `num_batches_tracked` are ignored.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if the suffix is none of these, or names or shapes do not match.
        ImportError: if the file is `.safetensors` and the package is not installed.

    Example:

    `np.savez("resnet34.npz", **{k: v.numpy() for k, v in torchvision_model.state_dict().items()})` writes the
    file, which requires torchvision; `resnet_encoder("resnet34", weights="resnet34.npz")` reads it without.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"`weights` must be the path of an existing file. Received: weights={str(path)!r}"
        )
    if path.name.endswith(".weights.h5"):
        try:
            encoder.load_weights(path)
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"`weights` must contain the layers of {encoder.name} as written by `save_weights`. "
                f"Received: weights={str(path)!r}"
            ) from error
    elif path.suffix == ".keras":
        _assign(encoder, _from_keras(encoder, path), path)
    elif path.suffix in (".npz", ".safetensors"):
        _assign(encoder, _from_torchvision(encoder, _read_arrays(path)), path)
    else:
        raise ValueError(
            "`weights` must end in .weights.h5, .keras, .npz or .safetensors. "
            f"Received: weights={str(path)!r}"
        )


def torchvision_name(variable_path):
    """The torchvision state-dict name of a variable of the encoder, given as `layer/variable`.

    >>> torchvision_name("layer2_0_downsample_1/moving_variance")
    'layer2.0.downsample.1.running_var'
    """
    layer, variable = variable_path.split("/")[-2:]
    return f"{layer.replace('_', '.')}.{_OF_BATCH_NORM.get(variable, 'weight')}"


def _read_arrays(path):
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    try:
        from safetensors.numpy import load_file
    except ImportError as error:
        raise ImportError(
            f"Reading .safetensors requires a package: `pip install safetensors`. Received: {path}"
        ) from error
    return load_file(path)


def _from_torchvision(encoder, arrays):
    """Arrays by the encoder's variable names, kernels transposed from OIHW to HWIO."""
    paths = {torchvision_name(variable.path): _key(variable) for variable in encoder.weights}
    found = {}
    for name, array in arrays.items():
        if name.startswith("fc.") or name.endswith("num_batches_tracked"):
            continue
        found[paths.get(name, name)] = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
    return found


def _from_keras(encoder, path):
    wanted = {_key(variable) for variable in encoder.weights}
    model = keras.saving.load_model(path, compile=False)
    return {
        _key(variable): keras.ops.convert_to_numpy(variable)
        for variable in model.weights
        if _key(variable) in wanted
    }


def _assign(encoder, arrays, path):
    variables = {_key(variable): variable for variable in encoder.weights}
    missing, extra = variables.keys() - arrays.keys(), arrays.keys() - variables.keys()
    shapes = [
        f"{key} of shape {tuple(arrays[key].shape)} instead of {tuple(variables[key].shape)}"
        for key in sorted(variables.keys() & arrays.keys())
        if tuple(arrays[key].shape) != tuple(variables[key].shape)
    ]
    if missing or extra or shapes:
        faults = [("missing", sorted(missing)), ("unknown", sorted(extra)), ("misshapen", shapes)]
        details = "; ".join(f"{kind}: {_listed(names)}" for kind, names in faults if names)
        raise ValueError(
            f"`weights` must contain the arrays of {encoder.name}, but {details}. "
            f"Received: weights={str(path)!r}"
        )
    for key, variable in variables.items():
        variable.assign(arrays[key])


def _key(variable):
    return "/".join(variable.path.split("/")[-2:])


def _listed(names, limit=4):
    names = list(names)
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest
