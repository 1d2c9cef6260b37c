import http.client
import logging
import socket

import pytest
from service_cases import PATIENCE, Asking, check_refused, encoded, noise, talk, wait_until

from keras_wsseg.serving import server as server_module
from keras_wsseg.serving.server import listen, serve

IMAGE = encoded(noise())


def test_it_says_where_it_is_and_when_it_is_done(gated):
    server, segmenter = gated()
    assert server.said == [f"Serving gated.onnx on http://127.0.0.1:{server.port} (none)"]
    segmenter.gate.set()
    server.stop()
    assert server.server.abandoned == 0
    with pytest.raises(ConnectionRefusedError):
        server.ask("GET", "/health")


def test_what_is_in_hand_is_finished_and_nothing_more_is_taken_on(gated):
    server, segmenter = gated(workers=1, queue=4)
    taken = [Asking(server.port, "POST", "/predict", IMAGE) for _ in range(3)]
    wait_until(lambda: server.service.pool.waiting == 2)
    server.signal()
    wait_until(lambda: len(server.said) == 2)
    assert server.said[1] == "Stopping: at most 30 seconds for pending requests: 3"
    assert server.ask("GET", "/ready")[::2] == (503, b'{"status":"stopping"}')
    assert server.ask("GET", "/health")[0] == 200
    check_refused(server.ask("POST", "/predict", IMAGE), 503, "The service is stopping.")
    segmenter.gate.set()
    server.stop()
    assert [asking.result()[0] for asking in taken] == [200] * 3
    assert server.server.abandoned == 0


@pytest.mark.parametrize("again", [False, True])
def test_what_takes_longer_than_the_grace_or_a_second_signal_is_given_up(gated, again, caplog):
    server, _ = gated(workers=1, queue=4, grace=PATIENCE if again else 0.3)
    taken = [Asking(server.port, "POST", "/predict", IMAGE) for _ in range(2)]
    wait_until(lambda: server.service.pool.waiting == 1)
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: 9\r\n\r\n"
    sending = talk(server.port, head)
    wait_until(lambda: server.service.metrics.in_flight == 3)
    server.signal()
    wait_until(lambda: len(server.said) == 2)
    if again:
        server.signal()
    server.stop()
    for asking in taken:
        check_refused(asking.result(), 503, "The service is stopping.")
    assert sending.recv(12) == b"HTTP/1.1 503"
    sending.close()
    assert server.server.abandoned == 3
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_connections_that_wait_for_nothing_do_not_hold_it_up(gated):
    server, segmenter = gated(read_timeout=PATIENCE)
    segmenter.gate.set()
    idle = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    idle.request("GET", "/health")
    assert idle.getresponse().read()
    silent = talk(server.port, b"GET /hea")
    server.stop()
    assert silent.recv(1) == b""
    idle.close()


def test_a_port_that_is_taken_is_told(segmenter, gated):
    server, _ = gated()
    text = f"must be a free local address. Received: 127.0.0.1:{server.port}: "
    with pytest.raises(OSError, match=text):
        serve(server.service, "127.0.0.1", server.port)


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70_000), ("203.0.113.7", 0), ("no host", 0)])
def test_addresses_that_are_none_are_told(host, port):
    with pytest.raises(OSError, match=f"free local address. Received: {host}:{port}: "):
        listen(host, port)


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_addresses_of_version_6():
    try:
        listener = listen("::1", 0)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listener:
        assert server_module._address(listener) == f"http://[::1]:{listener.getsockname()[1]}"


def test_log_records_are_lines(capsys):
    handler = server_module._InLines()
    try:
        raise RuntimeError("first\nsecond")
    except RuntimeError as error:
        info = (type(error), error, error.__traceback__)
    handler.emit(logging.LogRecord("uvicorn.error", logging.ERROR, "", 1, "Went\nwrong %d", (7,), info))
    handler.emit(logging.LogRecord("uvicorn.error", logging.ERROR, "", 1, "Plain", (), None))
    assert capsys.readouterr().err == (
        "keras-wsseg: Went wrong 7: RuntimeError: first second\nkeras-wsseg: Plain\n"
    )


def test_a_body_does_not_wait_for_the_headers_before_it():
    with listen("127.0.0.1", 0) as listener:
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
