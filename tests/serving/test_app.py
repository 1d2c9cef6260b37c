import json

import pytest
from service_cases import CLASS_NAMES, PALETTE, RunningServer, check_refused, encoded, noise

import keras_wsseg
from keras_wsseg.serving.app import build_app

IMAGE = encoded(noise())


@pytest.mark.parametrize("path", ["/", "/info"])
def test_info_says_what_a_client_needs(running, segmenter, path):
    status, headers, body = running.ask("GET", path)
    assert (status, headers["content-type"]) == (200, "application/json")
    said = json.loads(body)
    assert said["class_names"] == list(CLASS_NAMES)
    assert said["palette"] == [list(color) for color in PALETTE]
    assert (said["segmenter"], said["version"]) == ("Straße.onnx", keras_wsseg.__version__)
    assert (said["channels"], said["value_range"]) == (3, [0, 255])
    assert said["provider"] == segmenter.provider_note
    assert said["metadata"] == {"method": "gated CRF"}
    assert said["formats"] == ["mask", "overlay", "rgba", "probabilities", "json"]
    assert "image/png" in said["media_types"]
    assert "8 bits scaled to value_range" in said["images"]
    assert said["limits"] == {
        "bytes": 100_000,
        "pixels": 50_000,
        "workers": 2,
        "queue": 64,
        "seconds": 60.0,
        "seconds_to_send": 30.0,
    }


@pytest.mark.parametrize(("path", "status"), [("/health", "alive"), ("/ready", "ready")])
def test_probes(running, path, status):
    assert running.ask("GET", path)[::2] == (
        200,
        json.dumps({"status": status}, separators=(",", ":")).encode(),
    )
    assert running.ask("HEAD", path)[::2] == (200, b"")


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/nothing", 404, "There is no such path. Received: GET /nothing"),
        ("GET", "/predict/", 404, "There is no such path. Received: GET /predict/"),
        ("POST", "/../etc/passwd", 404, "There is no such path"),
        ("GET", "/" + "a" * 5000, 404, "Received: GET /a{99}$"),
        ("GET", "/predict", 405, "This path takes POST. Received: GET /predict"),
        ("PUT", "/predict", 405, "This path takes POST. Received: PUT /predict"),
        ("DELETE", "/health", 405, "This path takes .*GET.*. Received: DELETE /health"),
    ],
)
def test_other_paths_and_methods_are_refused(running, method, path, status, text):
    answer = running.ask(method, path)
    check_refused(answer, status, text)
    assert ("allow" in answer[1]) == (status == 405)


def test_metrics_are_those_of_prometheus(running):
    before = {name: running.metric(f"keras_wsseg_{name}_total") for name in ("images", "pixels")}
    running.ask("POST", "/predict", IMAGE)
    running.ask("GET", "/a-path-that-nobody-has")
    _, headers, body = running.ask("GET", "/metrics")
    assert headers["content-type"].startswith("text/plain; version=")
    assert running.metric("keras_wsseg_images_total") == before["images"] + 1
    assert running.metric("keras_wsseg_pixels_total") == before["pixels"] + 24 * 31
    assert running.metric("keras_wsseg_in_flight") == running.metric("keras_wsseg_queue_depth") == 0
    page = body.decode()
    assert 'keras_wsseg_requests_total{path="/predict",status="200"}' in page
    assert 'keras_wsseg_requests_total{path="other",status="404"}' in page
    assert 'keras_wsseg_predict_seconds_bucket{le="0.1"}' in page
    assert "nobody-has" not in page


def test_pages_of_other_origins_are_let_in_only_where_that_is_said(running, segmenter):
    asked = {"Origin": "https://a.example"}
    assert not any(name.startswith("access-control") for name in running.ask("GET", "/", headers=asked)[1])
    server = RunningServer(segmenter, allow_origins=["https://a.example"])
    try:
        for answer in (
            server.ask("POST", "/predict", IMAGE, headers=asked),
            server.ask("POST", "/predict", b"garbage", headers=asked),
        ):
            assert answer[1]["access-control-allow-origin"] == "https://a.example"
            assert answer[1]["access-control-expose-headers"] == "Server-Timing"
        preflight = {**asked, "Access-Control-Request-Method": "POST"}
        preflight["Access-Control-Request-Headers"] = "content-type"
        assert server.ask("OPTIONS", "/predict", headers=preflight)[0] == 200
        other = server.ask("GET", "/", headers={"Origin": "https://b.example"})
        assert "access-control-allow-origin" not in other[1]
    finally:
        server.stop()


def test_an_error_of_ours_is_told_in_a_sentence(running, monkeypatch, caplog):
    def broken(query):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("keras_wsseg.serving.answer_format.AnswerFormat.from_query", broken)
    answer = running.ask("POST", "/predict", IMAGE)
    check_refused(answer, 500, "^The service failed; see its log.$")
    assert 'status="500"' in running.ask("GET", "/metrics")[2].decode()


def test_origins_that_are_none_are_refused(running):
    with pytest.raises(ValueError, match="`allow_origin` must be .*Received: allow_origin='a.example'"):
        build_app(running.service, ["https://a.example", "a.example"])


def test_the_application_can_be_mounted_by_others(running):
    assert callable(build_app(running.service))
