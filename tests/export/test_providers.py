import logging

import onnx
import onnxruntime
import pytest
from onnx_cases import write_segmenter

from keras_wsseg.export import OnnxSegmenter, providers
from keras_wsseg.export.providers import CPU, CUDA, reason_of, start

InferenceSession = onnxruntime.InferenceSession
TENSORRT, COREML = "TensorrtExecutionProvider", "CoreMLExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_segmenter(tmp_path_factory.mktemp("providers") / "a.onnx")


@pytest.fixture
def machine(monkeypatch):
    """An ONNX Runtime that offers what a test says, of which some does not start; gives what was wanted."""

    def build(offered, raising=(), missing=()):
        wanted = []

        class Session(InferenceSession):
            def __init__(self, path, options, providers, enable_fallback):
                wanted.append(providers)
                (self.first, *_), *_ = providers
                if self.first in raising:
                    raise RuntimeError(
                        f"/src/ort.cc:7 void start(int, Map<a, b>&) No {self.first} here\nmore"
                    )
                super().__init__(path, options, providers=[CPU], enable_fallback=enable_fallback)

            def get_providers(self):
                return [CPU] if self.first in missing else [self.first, CPU]

        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*offered, CPU])
        monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
        return wanted

    return build


def test_the_cpu_is_taken_where_there_is_no_other(file, machine):
    machine([])
    assert start(file)[1] == f"{CPU}: the installed ONNX Runtime offers no other"


def test_an_accelerator_comes_first_and_in_full_float32(file, machine):
    wanted = machine([COREML, CUDA])
    session, note = start(file)
    assert wanted == [[(CUDA, {"use_tf32": "0"}), CPU]]
    assert session.get_providers()[0] == CUDA
    assert note == (
        f"{CUDA}: the first to start of {COREML}, {CUDA}, {CPU}, which the installed ONNX Runtime offers"
    )


def test_what_does_not_start_gives_way_and_the_reason_is_kept(file, machine):
    wanted = machine([CUDA, OPENVINO, COREML], raising=[CUDA], missing=[COREML])
    _, note = start(file)
    assert [providers[0][0] for providers in wanted if len(providers) > 1] == [CUDA, COREML, OPENVINO]
    assert note.startswith(f"{OPENVINO}: the first to start of ")
    assert f"{CUDA} is offered but did not start: No {CUDA} here; {COREML} is offered but" in note
    machine([CUDA], raising=[CUDA])
    assert start(file)[1] == f"{CPU}: {CUDA} is offered but did not start: No {CUDA} here"


def test_a_provider_whose_library_does_not_load_is_not_tried(file, machine, monkeypatch, tmp_path):
    """As ONNX Runtime would only write to the standard error that a library is missing."""
    (tmp_path / "capi").mkdir()
    (tmp_path / "capi" / "libonnxruntime_providers_cuda.so").write_bytes(b"no library")
    monkeypatch.setattr(onnxruntime, "__file__", str(tmp_path / "__init__.py"))
    preloaded = []
    monkeypatch.setattr(
        onnxruntime, "preload_dlls", lambda: preloaded.append(print("chatter")), raising=False
    )
    wanted = machine([CUDA])
    _, note = start(file)
    assert f"{CUDA} is offered but did not start: " in note and "libonnxruntime_providers_cuda.so" in note
    assert wanted == [[(CPU, {})]]
    assert preloaded == [None]


def test_compilers_are_taken_by_name_alone_with_cuda_beside_them(file, machine):
    wanted = machine([TENSORRT, CUDA])
    needs = "must be requested, since it compiles for minutes at each new size"
    assert start(file)[1].endswith(f"; {TENSORRT} {needs}")
    assert start(file, ["tensorrt"])[1] == f"{TENSORRT}: requested"
    assert wanted[-1] == [(TENSORRT, {}), CUDA, CPU]
    machine([TENSORRT])
    assert start(file)[1].startswith(f"{CPU}: {TENSORRT} must be requested")


@pytest.mark.parametrize(
    "name", ["cuda", "CUDA", CUDA, (CUDA, {"use_tf32": "0"}), ("cuda", {"use_tf32": "0"})]
)
def test_short_and_full_names_are_the_same(file, machine, name):
    wanted = machine([CUDA])
    assert start(file, [name])[1] == f"{CUDA}: requested"
    assert wanted == [[(CUDA, {"use_tf32": "0"}), CPU]]
    assert start(file, "cpu")[1] == f"{CPU}: requested"
    machine(["DmlExecutionProvider"])
    assert start(file, ["directml"])[1] == "DmlExecutionProvider: requested"


def test_what_was_asked_for_and_does_not_start_is_an_error_unless_more_was_asked_for(file, machine):
    machine([CUDA, COREML], raising=[CUDA], missing=[COREML])
    with pytest.raises(
        RuntimeError, match=rf"that starts on .* Received: {CUDA} .* here; {COREML} .* reason"
    ):
        start(file, ["cuda", "coreml"])
    note = start(file, ["cuda", "cpu"])[1]
    assert note == f"{CPU}: requested; {CUDA} is offered but did not start: No {CUDA} here"


@pytest.mark.parametrize(
    "wrong,words",
    [
        (["NoSuchProvider"], f"among those .*, {CPU}. Received: NoSuchProvider"),
        (["cpu", "cuda"], "Received: cuda"),
        ([], r"a list of names, or of \(name, options\)\. Received: providers=\[\]"),
        ([3], r"Received: providers=\[3\]"),
    ],
)
def test_unknown_providers_are_refused(file, wrong, words):
    with pytest.raises(ValueError, match=f"`providers` must be .*{words}"):
        start(file, wrong)


def test_threads_reach_the_session(file, machine):
    session, _ = start(file, ["cpu"], threads=1)
    assert session.get_session_options().intra_op_num_threads == 1
    wanted = machine([OPENVINO])
    start(file, ["openvino"], threads=3)
    assert wanted[0][0] == (OPENVINO, {"num_of_threads": "3", **providers.DEFAULT_PROVIDERS[OPENVINO]})


@pytest.mark.parametrize(
    "change,words",
    [
        ({"opset": 99}, r"of a version that ONNX Runtime .* reads; this one is newer\. Received"),
        ({"ir_version": 99}, r"reads; this one is newer\. .*Runtime: Unsupported model IR version: 99"),
    ],
)
def test_a_file_of_the_future_is_told_from_a_broken_one(tmp_path, change, words):
    write_segmenter(tmp_path / "a.onnx", **change)
    with pytest.raises(ValueError, match=words) as caught:
        start(tmp_path / "a.onnx")
    assert "\n" not in str(caught.value) and ".h:" not in str(caught.value)


def test_weights_in_a_file_that_is_not_there_are_named(tmp_path):
    model = onnx.load(write_segmenter(tmp_path / "a.onnx"))
    onnx.save(model, tmp_path / "b.onnx", save_as_external_data=True, location="weights", size_threshold=0)
    (tmp_path / "weights").unlink()
    with pytest.raises(ValueError, match=r"lacks a second file that holds its weights\. Received: .*weights"):
        start(tmp_path / "b.onnx")


def test_a_broken_file_is_not_blamed_on_the_provider(tmp_path, machine):
    (tmp_path / "a.onnx").write_bytes(b"nothing")
    machine([CUDA])
    with pytest.raises(ValueError, match=r"a whole ONNX file; .*a\.onnx', ONNX Runtime: "):
        start(tmp_path / "a.onnx")


def test_the_note_is_kept_and_logged_once(file, machine, caplog):
    machine([])
    with caplog.at_level(logging.INFO, "keras_wsseg"):
        segmenter = OnnxSegmenter(file)
    assert segmenter.provider == CPU
    assert segmenter.provider_note == f"{CPU}: the installed ONNX Runtime offers no other"
    assert [record.getMessage() for record in caplog.records] == [f"a.onnx runs on {segmenter.provider_note}"]


def test_what_onnx_runtime_says_is_shortened():
    assert (
        reason_of(ValueError("[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model failed"))
        == "Load model failed"
    )
    assert (
        reason_of(ValueError("failed:/a/b.cc:25 a::B::B(c&&, const d<e>&) [with f = g] Too new\n"))
        == "Too new"
    )
    assert reason_of(ValueError()) == "ValueError"
    assert len(reason_of(ValueError("a" * 999))) == 301
