import http.client

import pytest
from service_cases import (
    PATIENCE,
    Asking,
    check_refused,
    decoded,
    encoded,
    noise,
    received,
    talk,
    wait_until,
)

IMAGE = encoded(noise())

ONE_FILE = "must hold one file, and otherwise only format and alpha."


def form(*parts, boundary="xyz"):
    """Body and media type of a form: each part `(name, filename or None, data)`."""
    lines = []
    for name, filename, data in parts:
        more = f'; filename="{filename}"' if filename else ""
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
        lines += [head.encode(), data, b"\r\n"]
    return b"".join([*lines, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"


def in_charset(charset):
    body, media_type = form(("ä..", "Straße.png", IMAGE))
    return body, f"{media_type}; charset={charset}"


@pytest.mark.parametrize(
    "media_type",
    ["image/png", "IMAGE/PNG", "image/png; name=a.png", "image/jpg", "application/octet-stream", None],
)
def test_kinds_of_body_that_are_read(running, segmenter, media_type):
    status, _, body = running.ask("POST", "/predict", IMAGE, media_type)
    assert status == 200
    assert (decoded(body) == segmenter(noise())).all()


def test_the_file_of_a_form_is_read(running, segmenter):
    status, _, body = running.ask("POST", "/predict", *form(("image", "Straße.png", IMAGE)))
    assert status == 200
    assert (decoded(body) == segmenter(noise())).all()


@pytest.mark.parametrize("charset", ["ascii", "no-such-charset", "hex"])
def test_names_of_files_do_not_matter(running, charset):
    assert running.ask("POST", "/predict", *in_charset(charset))[0] == 200


@pytest.mark.parametrize(
    ("body", "media_type", "status", "text"),
    [
        (b"", "image/png", 400, "The request body must be an image. Received: an empty body"),
        (IMAGE, "text/html", 415, "Content-Type must be one of image/png, .*Received: 'text/html'"),
        (IMAGE, "application/x-www-form-urlencoded", 415, "Content-Type must be one of"),
        (IMAGE, "x" * 3000, 415, "Received: 'x{100}'$"),
        (IMAGE, "multipart/form-data", 400, "must hold one file.*Received: Missing boundary"),
        (
            IMAGE,
            "multipart/form-data; boundary=abc",
            400,
            f"{ONE_FILE} Received: ",
        ),
        (
            b"",
            "multipart/form-data; boundary=abc",
            400,
            f"{ONE_FILE} Received: ",
        ),
        (*form(), 400, f"{ONE_FILE} Received: "),
        (*form(("a", "a.png", b"")), 400, "Received: an empty body"),
        (*form(("a", None, b"text")), 400, "must hold one file, .* Received: a field 'a'"),
        (
            *form(("a", "1.png", IMAGE), ("b", "2.png", IMAGE)),
            400,
            "alpha. Received: Too many files",
        ),
        (
            form(("a", "a.png", IMAGE))[0][:-40],
            form()[1],
            400,
            ONE_FILE,
        ),
        (
            form(("a", "a.png", IMAGE))[0][:30],
            form()[1],
            400,
            ONE_FILE,
        ),
        (*in_charset("undefined"), 400, f"{ONE_FILE} Received: "),
    ],
)
def test_other_bodies_are_refused(running, body, media_type, status, text):
    check_refused(running.ask("POST", "/predict", body, media_type), status, text)


def test_packed_bodies_are_refused(running):
    answer = running.ask("POST", "/predict", IMAGE, headers={"Content-Encoding": "gzip"})
    check_refused(answer, 415, "must be sent without Content-Encoding. Received: 'gzip'")


def test_a_body_that_says_to_be_too_large_is_refused_before_it_is_sent(running):
    before = running.metric("keras_wsseg_refused_bytes_total")
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: 100001\r\n\r\n"
    connection = talk(running.port, head)
    assert connection.recv(12) == b"HTTP/1.1 413"
    connection.close()
    assert running.metric("keras_wsseg_refused_bytes_total") == before + 100_001


def test_a_client_that_sends_all_before_it_reads_learns_that_it_was_too_much(running):
    for body in (b"x" * 5_000_000, iter([b"x" * 50_000] * 100)):
        answer = running.ask("POST", "/predict", body)
        check_refused(answer, 413, "must have at most 100000 bytes. Received: [0-9]+ or more")


def test_the_rest_of_a_body_that_was_refused_is_no_request(running):
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)
    connection.request("POST", "/predict", b"GET / HTTP/1.1\r\n\r\n" * 10_000, {"Content-Type": "image/png"})
    assert connection.getresponse().read().startswith(b'{"error":')
    connection.request("GET", "/health")
    assert connection.getresponse().read() == b'{"status":"alive"}'
    connection.close()


def test_the_largest_body_passes(running):
    # Readers of PNG stop at its end.
    assert running.ask("POST", "/predict", IMAGE + bytes(100_000 - len(IMAGE)))[0] == 200


def test_chunked_bodies_are_read(running):
    halves = iter([IMAGE[:100], IMAGE[100:]])
    assert running.ask("POST", "/predict", halves)[0] == 200


def test_a_client_that_waits_for_leave_to_send_gets_it_or_not(running):
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nExpect: 100-continue\r\n"
    head += b"Connection: close\r\n"
    connection = talk(running.port, head + b"Content-Length: %d\r\n\r\n" % len(IMAGE))
    assert connection.recv(12) == b"HTTP/1.1 100"
    connection.sendall(IMAGE)
    assert b"HTTP/1.1 200" in received(connection)
    connection.close()
    connection = talk(running.port, head + b"Content-Length: 100001\r\n\r\n")
    assert connection.recv(12) == b"HTTP/1.1 413"
    connection.close()


def test_a_client_that_does_not_send_is_told_so(impatient):
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: 99\r\n\r\nabc"
    answer = received(talk(impatient.port, head))
    assert answer.startswith(b"HTTP/1.1 408") and b"must arrive within 1 seconds" in answer


def test_a_client_that_goes_away_while_it_sends_leaves_nothing_behind(running):
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: 99\r\n\r\nabc"
    talk(running.port, head).close()
    wait_until(lambda: running.service.metrics.in_flight == 0 and running.service.uploads.held == 0)


def test_no_more_bytes_are_held_than_there_are_places_for(gated):
    server, segmenter = gated(workers=1, queue=1, max_bytes=len(IMAGE))
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\n"
    length = b"Content-Length: %d\r\n\r\n" % len(IMAGE)
    working = Asking(server.port, "POST", "/predict", IMAGE)
    wait_until(lambda: segmenter.images)
    slow = talk(server.port, head + length + IMAGE[:-1])
    wait_until(lambda: server.service.uploads.held == 2 * len(IMAGE) - 1)
    check_refused(server.ask("POST", "/predict", IMAGE), 503, "out of upload memory")
    slow.close()
    wait_until(lambda: server.service.uploads.held == len(IMAGE))
    segmenter.gate.set()
    assert working.result()[0] == 200
    wait_until(lambda: server.service.uploads.held == 0)


def test_fields_of_a_form_stand_for_the_query(running, segmenter):
    fields = [("format", None, b"overlay"), ("image", "a.png", IMAGE), ("alpha", None, b"0.25")]
    asked = running.ask("POST", "/predict?format=overlay&alpha=0.25", IMAGE)
    assert asked[0] == 200
    assert running.ask("POST", "/predict", *form(*fields))[2] == asked[2]
    assert running.ask("POST", "/predict?format=overlay", *form(*fields))[2] == asked[2]
    answer = running.ask("POST", "/predict?format=mask", *form(*fields))
    check_refused(answer, 400, "format must be the same in query and form.* Received: 'mask' and 'overlay'")
    answer = running.ask("POST", "/predict", *form(("image", "a.png", IMAGE), ("token", None, b"x")))
    check_refused(answer, 400, "otherwise only format and alpha. Received: a field 'token'")
    answer = running.ask("POST", "/predict", *form(("image", "a.png", IMAGE), ("format", None, b"gif")))
    check_refused(answer, 400, "format must be one of mask, ")


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("alpha=0.25", [("format", None, b"overlay")]),
        ("format=overlay", [("alpha", None, b"0.25")]),
        ("format=overlay&alpha=0.25", []),
        ("format=overlay&format=overlay", [("alpha", None, b"0.25"), ("alpha", None, b"0.25")]),
    ],
)
def test_query_and_form_say_it_together(running, query, fields):
    wanted = running.ask("POST", "/predict?format=overlay&alpha=0.25", IMAGE)
    answer = running.ask("POST", f"/predict?{query}", *form(*fields, ("image", "a.png", IMAGE)))
    assert (answer[0], answer[2]) == (200, wanted[2])


def test_who_says_two_things_is_refused(running):
    answer = running.ask("POST", "/predict?format=mask&format=overlay", IMAGE)
    check_refused(answer, 400, "format must be the same in query and form.* Received: 'mask' and 'overlay'")
    fields = [("format", None, b"mask"), ("format", None, b"json"), ("image", "a.png", IMAGE)]
    answer = running.ask("POST", "/predict", *form(*fields))
    check_refused(answer, 400, "format must be the same in query and form.* Received: 'mask' and 'json'")
    answer = running.ask("POST", "/predict?alpha=0.25", *form(("image", "a.png", IMAGE)))
    check_refused(answer, 400, "alpha requires format=overlay or format=rgba. Received: format=mask")
