import sys

import numpy as np
import pytest
from film_cases import brightness, cut_off, write_film

from keras_wsseg.cli.video import count_frames, read_frames, upright


def read(path, every=1):
    """`(numbers, frames, error)`: all that could be decoded."""
    numbers, frames = [], []
    try:
        for number, frame in read_frames(path, every):
            numbers.append(number)
            frames.append(frame)
    except ValueError as error:
        return numbers, frames, str(error)
    return numbers, frames, None


@pytest.mark.parametrize("every, numbers", [(1, list(range(12))), (5, [0, 5, 10]), (50, [0])])
def test_frames_come_with_their_numbers(tmp_path, every, numbers):
    found, frames, error = read(write_film(tmp_path / "a.mp4"), every)
    assert found == numbers and error is None
    for number, frame in zip(found, frames, strict=True):
        assert frame.shape == (48, 64, 3) and frame.dtype == np.uint8
        assert abs(frame.mean() - brightness(number)) < 7


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv"])
def test_length_is_told_by_the_header(tmp_path, name):
    assert count_frames(write_film(tmp_path / name)) == 12
    (tmp_path / "bad.mp4").write_text("no film")
    assert count_frames(tmp_path / "bad.mp4") == 1


@pytest.mark.parametrize(
    "name, codec, options",
    [
        ("a.mp4", "mpeg4", {"movflags": "faststart"}),
        ("a.avi", "mpeg4", {}),
        ("a.avi", "mjpeg", {}),
        ("a.mkv", "mpeg4", {}),
    ],
)
def test_a_film_that_is_cut_off_gives_its_whole_frames_and_an_error(tmp_path, name, codec, options):
    path = write_film(tmp_path / name, codec, frames=60, size=(240, 320), **options)
    numbers, frames, error = read(path)
    assert len(numbers) == 60 and error is None
    numbers, cut, error = read(cut_off(path))
    assert 5 < len(numbers) < 60 and numbers == list(range(len(numbers)))
    assert f"is damaged or cut off, with {len(numbers)} whole frames" in error
    np.testing.assert_array_equal(cut, frames[: len(cut)])


def damage(path, number, share):
    """Overwrites the end of a frame's packet in an AVI with zeros."""
    import av

    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    content = path.read_bytes()
    start = content.index(packets[number])
    lost = int(share * len(packets[number]))
    end = start + len(packets[number])
    path.write_bytes(content[: end - lost] + bytes(lost) + content[end:])


@pytest.mark.parametrize(
    "codec, share, reason", [("mjpeg", 1.0, "Invalid data found"), ("mpeg4", 0.3, "a frame with faults")]
)
def test_frames_after_damage_keep_their_numbers(tmp_path, codec, share, reason):
    path = write_film(tmp_path / "a.avi", codec)
    damage(path, 4, share)
    numbers, frames, error = read(path)
    assert numbers == [number for number in range(12) if number != 4]
    assert f"with 11 whole frames. Received: {reason}" in error
    assert abs(frames[-1].mean() - brightness(11)) < 7


def test_what_is_no_film_is_told(tmp_path):
    (tmp_path / "text.mp4").write_text("no film")
    (tmp_path / "empty.mkv").touch()
    for name in ("text.mp4", "empty.mkv", "absent.mp4"):
        assert f"{name}' cannot be read. Received: " in read(tmp_path / name)[2]
    write_film(tmp_path / "none.avi", frames=0)
    assert "none.avi'" in read(tmp_path / "none.avi")[2]


def test_any_name_will_do(tmp_path):
    film = write_film(tmp_path / "film.mp4", frames=2)
    for name in ("at 12:30 ü%03d.mp4", "concat:x.mp4"):
        film = film.rename(tmp_path / name)
        assert read(film)[0] == [0, 1]


def test_a_sound_file_has_no_images(tmp_path):
    import av

    with av.open(str(tmp_path / "sound.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        stream.layout = "mono"
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    assert "must hold images. Received: no such stream" in read(tmp_path / "sound.mkv")[2]


def test_a_missing_decoder_names_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r"needs PyAV: pip install 'keras-wsseg\[video\]'"):
        next(read_frames(tmp_path / "a.mp4"))
    assert count_frames(tmp_path / "a.mp4") == 1


def test_frames_are_turned_as_a_phone_was_held():
    frame = np.arange(18).reshape(2, 3, 3)
    assert upright(frame, 0) is frame and upright(frame, 360) is frame and upright(frame, 45) is frame
    # Held upright, a phone says -90: the stored image is to be turned clockwise.
    turned = upright(frame, -90)
    assert turned.shape == (3, 2, 3) and turned.flags.c_contiguous
    np.testing.assert_array_equal(turned[0], frame[::-1, 0])
    np.testing.assert_array_equal(upright(frame, 180), frame[::-1, ::-1])
    np.testing.assert_array_equal(upright(turned, 90), frame)
