import concurrent.futures
import io
import json
import logging

import numpy as np
import pytest
from PIL import Image
from service_cases import (
    Asking,
    RunningServer,
    ask,
    check_refused,
    decoded,
    encoded,
    noise,
    png_of_size,
    talk,
    wait_until,
    write_segmenter,
)

from keras_wsseg.export import OnnxSegmenter

IMAGE = encoded(noise())


def test_many_clients_each_get_their_own_mask(running, segmenter):
    sizes = [(1, 1), (24, 31), (97, 131), (64, 64), (3, 200), (150, 20)]
    images = [noise(*sizes[k % len(sizes)], seed=k) for k in range(48)]
    with concurrent.futures.ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda image: running.ask("POST", "/predict", encoded(image)), images))
    for image, (status, headers, body) in zip(images, answers, strict=True):
        assert (status, headers["content-type"]) == (200, "image/png")
        np.testing.assert_array_equal(decoded(body), segmenter(image))


def test_the_time_of_each_step_is_told(running):
    _, headers, _ = running.ask("POST", "/predict?format=json", IMAGE)
    steps = dict(part.split(";dur=") for part in headers["server-timing"].split(", "))
    assert list(steps) == ["queue", "decode", "segment", "encode", "total"]
    assert float(steps["total"]) == pytest.approx(sum(map(float, list(steps.values())[:-1])), abs=0.3)


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("/predict", noise().tobytes(), 422, "must be a PNG, .* Received: another format"),
        ("/predict", IMAGE[:900], 422, "must be a whole file"),
        ("/predict", png_of_size(9000, 9000), 413, "at most 50000 pixels. Received: 9000x9000 pixels"),
        (
            "/predict",
            encoded(2 * noise(channels=1).astype("uint16")),
            422,
            "must have values from 0 to 255, since it has more than 8 bits per channel. Received: values",
        ),
        ("/predict?format=gif", IMAGE, 400, "format must be one of"),
        ("/predict?alpha=0.5", IMAGE, 400, "alpha requires"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_does_not_fit_is_refused_in_a_sentence(running, path, body, status, text):
    check_refused(running.ask("POST", path, body), status, text)


@pytest.mark.parametrize(
    ("channels", "value_range"), [(1, (0, 255)), (3, (0, 255)), (1, (0, 1)), (3, (-1, 1)), (1, (0, 4095))]
)
def test_gray_and_color_are_brought_to_what_the_segmenter_takes(tmp_path, channels, value_range):
    path = write_segmenter(tmp_path / "a.onnx", channels=channels, value_range=value_range)
    segmenter = OnnxSegmenter(path, threads=1)
    server = RunningServer(segmenter)
    low, high = value_range
    try:
        for image in (noise(), noise(channels=1)):
            seen = np.asarray(Image.fromarray(image).convert("L" if channels == 1 else "RGB"))
            given = (low + (high - low) / 255 * seen).astype("float32")
            status, _, body = server.ask("POST", "/predict?format=probabilities", encoded(image))
            assert status == 200
            np.testing.assert_array_equal(np.load(io.BytesIO(body)), segmenter.probabilities(given))
            status, _, body = server.ask("POST", "/predict?format=overlay&alpha=0", encoded(image))
            assert status == 200
            np.testing.assert_array_equal(decoded(body), np.asarray(Image.fromarray(seen).convert("RGB")))
    finally:
        server.stop()


def test_deep_images_are_taken_as_they_are_where_the_segmenter_takes_them(tmp_path):
    path = write_segmenter(tmp_path / "deep.onnx", channels=1, value_range=(0, 4095))
    segmenter = OnnxSegmenter(path, threads=1)
    server = RunningServer(segmenter)
    image = (16 * noise(channels=1).astype("uint16")) + 7
    try:
        status, _, body = server.ask("POST", "/predict?format=probabilities", encoded(image))
        assert status == 200
        np.testing.assert_array_equal(np.load(io.BytesIO(body)), segmenter.probabilities(image))
        answer = server.ask("POST", "/predict", encoded(16 * image))
        check_refused(answer, 422, "must have values from 0 to 4095, .*Received: values from ")
    finally:
        server.stop()


def test_what_the_segmenter_refuses_is_told_without_its_own_words(gated):
    server, segmenter = gated()
    segmenter.gate.wait = lambda timeout: (_ for _ in ()).throw(ValueError("`image` must be otherwise"))
    answer = server.ask("POST", "/predict", IMAGE)
    check_refused(answer, 422, "^The image must fit the channels and value_range of the segmenter, see")
    segmenter.outputs = ("classes",)
    check_refused(server.ask("POST", "/predict?format=probabilities", IMAGE), 400, "outputs classes only")
    assert "probabilities" not in json.loads(server.ask("GET", "/info")[2])["formats"]
    del segmenter.gate.wait


def test_further_images_than_the_queue_holds_are_refused_at_once(gated):
    server, segmenter = gated(workers=1, queue=2)
    taken = [Asking(server.port, "POST", "/predict", IMAGE) for _ in range(3)]
    wait_until(lambda: server.service.pool.waiting == 2 and server.service.pool.running == 1)
    assert server.metric("keras_wsseg_queue_depth") == 2
    assert server.metric("keras_wsseg_workers_busy") == 1
    assert server.metric("keras_wsseg_in_flight") == 3
    for _ in range(5):
        answer = server.ask("POST", "/predict", IMAGE)
        check_refused(answer, 503, "at capacity: try again later")
        assert answer[1]["retry-after"] == "1"
    assert server.ask("GET", "/health")[0] == server.ask("GET", "/ready")[0] == 200
    segmenter.gate.set()
    assert [asking.result()[0] for asking in taken] == [200] * 3
    assert server.ask("POST", "/predict", IMAGE)[0] == 200
    assert server.metric("keras_wsseg_images_total") == 4


def test_the_event_loop_is_free_while_workers_are_busy(gated):
    server, segmenter = gated(workers=2, queue=0)
    taken = [Asking(server.port, "POST", "/predict", IMAGE) for _ in range(2)]
    wait_until(lambda: len(segmenter.images) == 2)
    assert server.ask("GET", "/health")[0] == 200
    segmenter.gate.set()
    assert [asking.result()[0] for asking in taken] == [200] * 2


def test_an_answer_that_takes_too_long_is_given_up_and_its_worker_comes_back(gated):
    server, segmenter = gated(workers=1, queue=1, timeout=0.2)
    running, waiting = (Asking(server.port, "POST", "/predict", IMAGE) for _ in range(2))
    for asking in (running, waiting):
        check_refused(asking.result(), 504, "not ready within 0.2 seconds")
    wait_until(lambda: server.service.pool.waiting == 0)
    assert server.service.pool.running == len(segmenter.images) == 1
    assert server.ask("GET", "/ready")[::2] == (503, b'{"status":"stuck"}')
    assert server.ask("GET", "/health")[0] == 200
    segmenter.gate.set()
    wait_until(lambda: server.service.pool.running == 0)
    assert server.ask("GET", "/ready")[0] == 200
    wait_until(lambda: server.ask("POST", "/predict", IMAGE)[0] == 200)


def test_who_goes_away_while_waiting_is_dropped_from_the_queue(gated):
    server, segmenter = gated(workers=1, queue=1)
    working = Asking(server.port, "POST", "/predict", IMAGE)
    wait_until(lambda: segmenter.images)
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\n"
    gone = talk(server.port, head + b"Content-Length: %d\r\n\r\n" % len(IMAGE) + IMAGE)
    wait_until(lambda: server.service.pool.waiting == 1)
    gone.close()
    wait_until(lambda: server.service.pool.waiting == 0)
    segmenter.gate.set()
    assert working.result()[0] == 200
    assert len(segmenter.images) == 1
    page = server.ask("GET", "/metrics")[2].decode()
    assert 'keras_wsseg_requests_total{path="/predict",status="499"} 1.0' in page


def test_an_error_of_the_segmenter_is_told_to_the_log_and_not_to_the_client(gated, caplog):
    server, segmenter = gated()
    secret = RuntimeError("bad_alloc\n  in /home/someone")
    segmenter.gate.wait = lambda timeout: (_ for _ in ()).throw(secret)
    with caplog.at_level(logging.INFO, "keras_wsseg"):
        answer = server.ask("POST", "/predict", IMAGE)
    check_refused(answer, 500, "^The image was not segmented; see the log of the service.$")
    (record,) = caplog.records
    assert record.getMessage() == (
        "an image of 31x24 was not segmented: RuntimeError: bad_alloc in /home/someone"
    )
    assert record.exc_info is None
    del segmenter.gate.wait
    segmenter.gate.set()
    assert server.ask("POST", "/predict", IMAGE)[0] == 200


def test_garbage_leaves_a_service_that_works(running, segmenter):
    rng = np.random.default_rng(0)
    for _ in range(20):
        garbage = rng.integers(0, 256, rng.integers(1, 2000), dtype=np.uint8).tobytes()
        assert ask(running.port, "POST", "/predict", garbage)[0] == 422
        connection = talk(running.port, garbage)
        connection.close()
    status, _, body = running.ask("POST", "/predict", IMAGE)
    assert status == 200
    np.testing.assert_array_equal(decoded(body), segmenter(noise()))
