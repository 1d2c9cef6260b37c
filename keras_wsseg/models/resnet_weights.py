"""Reads the weights of a ResNet encoder from a local file of Keras or of torchvision."""

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
    """Fills an encoder with the weights in a file.

    Pretrained encoders decide what clicks and scribbles can teach; this takes them from wherever they were
    saved, without the framework that trained them.

    Args:
        encoder: model made by `resnet_encoder`.
        path: a file whose suffix says what it holds. `.weights.h5` and `.keras`: such an encoder, or a model
            with its layers, saved by Keras. `.npz`, and `.safetensors` where the package of that name is
            installed: torchvision's arrays under torchvision's names (`conv1.weight`,
            `layer1.0.bn1.running_mean`, …), kernels in the order out, in, height, width. The classifier `fc`
            and `num_batches_tracked` are ignored.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the suffix is none of these, or names or shapes do not fit.
        ImportError: if a `.safetensors` file comes without its package.

    Example:

    `np.savez("resnet34.npz", **{k: v.numpy() for k, v in torchvision_model.state_dict().items()})` writes the
    file where torchvision is, and `resnet_encoder("resnet34", weights="resnet34.npz")` reads it anywhere.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"`weights` must name an existing file. Received: weights={str(path)!r}")
    if path.name.endswith(".weights.h5"):
        try:
            encoder.load_weights(path)
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"`weights` must hold the layers of {encoder.name} as its `save_weights` writes them. "
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
    """The name in a torchvision state dict of a variable of the encoder, given as `layer/variable`.

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
            f"Reading .safetensors needs the package safetensors: `pip install safetensors`. Received: {path}"
        ) from error
    return load_file(path)


def _from_torchvision(encoder, arrays):
    """Arrays by the encoder's own names, kernels turned from OIHW to HWIO."""
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
        told = "; ".join(f"{kind}: {_listed(names)}" for kind, names in faults if names)
        raise ValueError(
            f"`weights` must hold the arrays of {encoder.name}, but {told}. Received: weights={str(path)!r}"
        )
    for key, variable in variables.items():
        variable.assign(arrays[key])


def _key(variable):
    return "/".join(variable.path.split("/")[-2:])


def _listed(names, limit=4):
    names = list(names)
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest
