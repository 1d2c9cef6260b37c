"""What holds for every test: quick compilation, two devices, and which tests run on JAX."""

import gc
import os
import pathlib

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# XLA's most thorough code takes longer to make than these small cases take to run.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_force_host_platform_device_count=2"
)
if "PYTEST_XDIST_WORKER" in os.environ:
    # As many workers as processors run beside each other.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

ON_JAX = os.environ.get("KERAS_BACKEND") == "jax"
ROOT = pathlib.Path(__file__).resolve().parents[1]


def pytest_ignore_collect(collection_path):
    """On JAX only files with tests for any backend are read: others import what JAX does without."""
    if ON_JAX and collection_path.name.startswith("test_"):
        return "any_backend" not in collection_path.read_text(encoding="utf-8") or None


def pytest_collection_finish():
    """What the imports made stays to the end: no collection of garbage need look at it again."""
    gc.freeze()


def pytest_sessionstart(session):
    """Splits TensorFlow's processor in two for the tests of replicas, which its first use would rule out."""
    only_starts_others = session.config.getoption("numprocesses", None) and not hasattr(
        session.config, "workerinput"
    )
    if ON_JAX or only_starts_others:
        return
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


@pytest.fixture(scope="session")
def real_data():
    """Folder of real images with weak and dense labels; tests that read it skip where it is absent."""
    folder = pathlib.Path(os.environ.get("KERAS_WSSEG_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no folder of real data at {folder}")
    return folder


@pytest.fixture(scope="module")
def eagerly():
    """Trainings of a few steps, which take longer to trace and compile than to run; JAX compiles them all."""
    if ON_JAX:
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def narrow_encoders(monkeypatch):
    """A quarter of the channels for backbones of many million weights, which would only cost time."""
    import keras

    from keras_wsseg.models import encoder

    def thinned(layer):
        config = layer.get_config()
        if "filters" in config:
            config["filters"] //= 4
        return type(layer).from_config(config)

    def narrow(build):
        def narrowed(*args, **options):
            network = build(*args, **options)
            if network.count_params() < 5e6:
                return network
            return keras.models.clone_model(network, clone_function=thinned)

        return narrowed

    for name in ("resnet_encoder", "application_encoder"):
        monkeypatch.setattr(encoder, name, narrow(getattr(encoder, name)))
