import socket
import time

import numpy as np
import pytest
from service_cases import PATIENCE, RunningServer, encoded, noise, received, talk, wait_until

IMAGE = encoded(noise())
HEAD = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\n"


@pytest.mark.parametrize("sent", [b"", b"GET /hea", b"GET /health HTTP/1.1\r\nHost: a\r\n"])
def test_who_sends_no_whole_request_is_left(impatient, sent):
    assert received(talk(impatient.port, sent)) == b""


def test_who_sends_no_second_request_is_left(impatient):
    answer = received(talk(impatient.port, b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"))
    assert answer.count(b"HTTP/1.1") == 1 and answer.endswith(b'{"status":"alive"}')
    answer = received(talk(impatient.port, b"GET /health HTTP/1.1\r\nHost: a\r\n\r\nGET /hea"))
    assert answer.count(b"HTTP/1.1") == 1


def test_requests_sent_in_one_go_are_answered_in_their_order(running):
    sent = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\nGET /ready HTTP/1.1\r\nHost: a\r\n"
    answer = received(talk(running.port, sent + b"Connection: close\r\n\r\n"))
    assert answer.index(b'"alive"') < answer.index(b'"ready"')


def test_who_never_ends_a_body_that_was_refused_is_left(impatient):
    connection = talk(impatient.port, HEAD + b"Content-Length: 999999\r\n\r\n" + b"x" * 1000)
    assert connection.recv(12) == b"HTTP/1.1 413"

    def cut_off():
        try:
            connection.sendall(b"x")
        except OSError:
            return True

    wait_until(cut_off)
    connection.close()


def test_who_does_not_read_the_answer_is_left(impatient):
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", impatient.port))
    connections = impatient.server.server_state.connections
    wait_until(lambda: len(connections) == 1)
    large = encoded(np.zeros((200, 250, 3), np.uint8))
    head = HEAD.replace(b"/predict", b"/predict?format=probabilities")
    request = head + b"Content-Length: %d\r\n\r\n" % len(large) + large
    before = impatient.metric("keras_wsseg_images_total")
    for _ in range(16):
        connection.sendall(request)
    wait_until(lambda: impatient.metric("keras_wsseg_images_total") > before)
    wait_until(lambda: not connections)
    connection.close()


def test_who_reads_slowly_gets_all_of_the_answer(segmenter):
    server = RunningServer(segmenter, read_timeout=1.5)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    connection.connect(("127.0.0.1", server.port))
    image = encoded(np.zeros((1000, 1000, 3), np.uint8))
    head = HEAD.replace(b"/predict", b"/predict?format=probabilities")
    connection.sendall(head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(image) + image)
    count, since = 0, time.monotonic()
    while part := connection.recv(2**16):
        count += len(part)
        # At this pace it takes twice the server's patience.
        time.sleep(max(0, since + 3 * count / 16_000_000 - time.monotonic()))
    connection.close()
    server.stop()
    assert count > 16_000_000


def test_connections_beyond_the_most_are_closed_at_once(segmenter, monkeypatch):
    monkeypatch.setattr("keras_wsseg.serving.read_timeout_protocol.MOST_CONNECTIONS", 3)
    server = RunningServer(segmenter, read_timeout=PATIENCE)
    first = [talk(server.port, b"") for _ in range(3)]
    wait_until(lambda: len(server.server.server_state.connections) == 3)
    assert received(talk(server.port, b"")) == b""
    first.pop().close()
    wait_until(lambda: len(server.server.server_state.connections) == 2)
    assert server.ask("GET", "/health")[0] == 200
    server.stop()
    for connection in first:
        connection.close()


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"Transfer-Encoding: gzip\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(running, garbage):
    answer = received(talk(running.port, garbage))
    assert answer[:9] == b"HTTP/1.1 " and 400 <= int(answer[9:12]) <= 501
    assert b"Traceback" not in answer
    assert running.ask("GET", "/health")[0] == 200


def test_headers_without_end_are_cut_off(running):
    connection = talk(running.port, b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
    with pytest.raises(OSError):
        while True:
            connection.sendall(b"y" * 100_000)
    connection.close()
    assert running.ask("GET", "/health")[0] == 200
