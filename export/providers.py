"""Starts ONNX Runtime on the best execution provider of a machine, and reports which one and why."""

import contextlib
import ctypes
import io
import pathlib
import re
import sys

try:
    import onnxruntime
except ImportError as error:
    raise ImportError(
        "OnnxSegmenter needs ONNX Runtime: `pip install onnxruntime`, or `onnxruntime-gpu` for a GPU"
    ) from error

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"
# In the order in which they are tried, with the options that keep them in float32: TF32 and bfloat16, which
# these use by default, would change probabilities by more than the export allows.
DEFAULT_PROVIDERS = {
    CUDA: {"use_tf32": "0"},
    "ROCMExecutionProvider": {},
    "DmlExecutionProvider": {},
    "CoreMLExecutionProvider": {},
    OPENVINO: {"precision": "ACCURACY"},
}
# They compile an engine for every new image size, which takes minutes.
PROVIDERS_BY_NAME_ONLY = (
    "TensorrtExecutionProvider",
    "NvTensorRTRTXExecutionProvider",
    "MIGraphXExecutionProvider",
)
OTHER_NAMES = {"directml": "dml"}


def start(path, providers=None, threads=None):
    """Opens a file with the first provider that starts.

    An available provider may fail to start when its driver or its libraries are missing. Then the next one is
    tried, and the reason is kept.

    Args:
        path: ONNX file.
        providers: names in order of preference, `"cuda"` or `"CUDAExecutionProvider"`, or
            `(name, options)`; by default `DEFAULT_PROVIDERS`, then the CPU.
        threads: CPU threads for one image; by default one for each core.

    Returns:
        `(session, note)`: the `InferenceSession`, and one line about which provider was chosen and why.

    Raises:
        ValueError: if the file cannot be opened, or a provider is not available here.
        RuntimeError: if none of the requested `providers` starts.
    """
    offered = onnxruntime.get_available_providers()
    failed = []
    for name, options in _wanted(providers, offered):
        try:
            return _session(path, name, options, threads, offered), _note(name, providers, offered, failed)
        except _DidNotStart as error:
            failed.append(f"{name} is offered but did not start: {error}")
    raise RuntimeError(
        f"`providers` must hold one that starts on this machine. Received: {'; '.join(failed)}"
    )


def reason_of(error):
    """The message of ONNX Runtime, without its codes and source locations."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    text = re.sub(r"\[ONNXRuntimeError\] : \d+ : \w+ : (Load model from .*? failed:\s*)?", "", text)
    text = re.sub(r"\S+\.(?:cc|cpp|h|cu):\d+ .*?\)(?: \[with .*?\])? (?=[A-Z])", "", text)
    return text if len(text) <= 300 else f"{text[:300]}…"


class _DidNotStart(Exception):
    pass


def _wanted(providers, offered):
    if providers is None:
        return [(name, options) for name, options in DEFAULT_PROVIDERS.items() if name in offered] + [
            (CPU, {})
        ]
    if isinstance(providers, str):
        providers = [providers]
    listed = isinstance(providers, list | tuple)
    items = [(item, None) if isinstance(item, str) else item for item in providers] if listed else ()
    if not items or not all(isinstance(item, tuple | list) and len(item) == 2 for item in items):
        raise ValueError(
            f"`providers` must be a list of names, or of (name, options). Received: providers={providers!r}"
        )
    named = {_short(name): name for name in offered}
    unknown = [name for name, _ in items if _short(name) not in named]
    if unknown:
        raise ValueError(
            f"`providers` must be among those of the installed ONNX Runtime, {', '.join(offered)}. "
            f"Received: {', '.join(map(str, unknown))}"
        )
    full = [(named[_short(name)], options) for name, options in items]
    return [(name, DEFAULT_PROVIDERS.get(name, {}) if options is None else options) for name, options in full]


def _short(name):
    short = str(name).lower().removesuffix("executionprovider")
    return OTHER_NAMES.get(short, short)


def _session(path, name, options, threads, offered):
    problem = _missing_library(name)
    if problem:
        raise _DidNotStart(problem)
    # Operations without a TensorRT kernel fall back to CUDA, and those that neither has to the CPU.
    helpers = [CUDA] if name in PROVIDERS_BY_NAME_ONLY and CUDA in offered else []
    helpers += [] if name == CPU else [CPU]
    settings = onnxruntime.SessionOptions()
    # Failures are raised or reported in the note, not in pages of warnings.
    settings.log_severity_level = 4
    # Planned allocation took a quarter to a half more memory here, and saved no time.
    settings.enable_mem_pattern = False
    if threads is not None:
        settings.intra_op_num_threads = threads
        if name == OPENVINO:
            options = {"num_of_threads": str(threads), **options}
    try:
        # ONNX Runtime's own fallback prints to standard output, and may switch providers during a run.
        session = onnxruntime.InferenceSession(
            str(path), settings, providers=[(name, options), *helpers], enable_fallback=0
        )
    except Exception as error:
        _refuse_unreadable(path)
        raise _DidNotStart(reason_of(error)) from error
    if session.get_providers()[0] != name:
        raise _DidNotStart("ONNX Runtime skipped it without a reason")
    return session


def _missing_library(name):
    """Why a provider's own library cannot be loaded, or None.

    ONNX Runtime reports that on standard error only. The CUDA libraries that pip installs are found only
    after `preload_dlls`. This is not tested on Windows: there the library would start without ONNX Runtime.
    """
    library = (
        pathlib.Path(onnxruntime.__file__).parent / "capi" / f"libonnxruntime_providers_{_short(name)}.so"
    )
    problem = _load_problem(library)
    if (problem or sys.platform == "win32") and hasattr(onnxruntime, "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Exception):
            onnxruntime.preload_dlls()
    return problem and _load_problem(library)


def _load_problem(library):
    if not library.is_file():
        return None
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        # Only symbols of ONNX Runtime itself are missing, which only ONNX Runtime can provide.
        return None if "undefined symbol" in str(error) else reason_of(error)
    return None


def _refuse_unreadable(path):
    """Raises an error that explains why no provider could open a file."""
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        onnxruntime.InferenceSession(str(path), settings, providers=[CPU], enable_fallback=0)
    except Exception as error:
        reason = reason_of(error)
        if "max supported IR version" in reason or "Current official support" in str(error):
            expected = f"of a version that ONNX Runtime {onnxruntime.__version__} reads; this one is newer"
        elif "external data" in reason.lower():
            expected = "one whole file; this one lacks a second file that holds its weights"
        else:
            expected = "a whole ONNX file; this one may be cut off or of another kind"
        raise ValueError(
            f"`path` must be {expected}. Received: path={str(path)!r}, ONNX Runtime: {reason}"
        ) from error


def _note(name, providers, offered, failed):
    others = [other for other in offered if other in DEFAULT_PROVIDERS or other in PROVIDERS_BY_NAME_ONLY]
    if providers is not None:
        reasons = ["requested"]
    elif name != CPU:
        reasons = [f"the first to start of {', '.join(offered)}, which the installed ONNX Runtime offers"]
    elif not others:
        reasons = ["the installed ONNX Runtime offers no other"]
    else:
        reasons = []
    left = [other for other in others if other in PROVIDERS_BY_NAME_ONLY] if providers is None else []
    if left:
        names = " and ".join(left)
        failed = [*failed, f"{names} must be requested, since it compiles for minutes at each new size"]
    return f"{name}: {'; '.join([*reasons, *failed])}"
