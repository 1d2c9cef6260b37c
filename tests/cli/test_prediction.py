import pathlib

import numpy as np
import pytest
from film_cases import brightness, write_film
from PIL import Image

from keras_wsseg.cli.prediction import Tasks, Writer


class Halves:
    """A segmenter of dark and bright."""

    palette = np.array([[0, 0, 0], [200, 100, 0]], np.uint8)
    class_names = ("background", "bright")
    value_range = (0, 255)
    channels = 1

    def __call__(self, image):
        return (image[..., 0] > 127).astype(np.uint8)

    def probabilities(self, image):
        bright = np.float32(self(image))
        return np.stack([1 - bright, bright], -1)


@pytest.fixture
def sources(tmp_path):
    """An image, a video and a video that is none."""
    Image.new("RGB", (6, 4), (255, 0, 0)).save(tmp_path / "a.png")
    write_film(tmp_path / "b.mp4", frames=7)
    (tmp_path / "c.mkv").write_text("no film")
    return {tmp_path / name: pathlib.Path("x", name[0]) for name in ("a.png", "b.mp4", "c.mkv")}


def test_tasks_are_images_and_frames(sources):
    tasks = Tasks(sources, 3, (0, 255), every=3)
    assert len(tasks) == 5
    places = [str(task.place) for task in tasks]
    assert places == ["x/a", "x/b/frame_000000", "x/b/frame_000003", "x/b/frame_000006"]
    assert list(tasks.failed) == [list(sources)[2]]
    assert "cannot be read" in next(iter(tasks.failed.values()))


@pytest.mark.parametrize("channels", [1, 3])
def test_images_and_frames_come_in_the_channels_asked_for(sources, channels):
    image, first, second, *_ = [task.read() for task in Tasks(sources, channels, (0, 255))]
    assert image.shape == (4, 6, channels) and first.shape == (48, 64, channels)
    assert image[0, 0].tolist() == ([76] if channels == 1 else [255, 0, 0])
    assert abs(second.mean() - brightness(1)) < 7


def test_a_video_ends_at_a_frame_that_failed(sources):
    tasks = Tasks(sources, 3, (0, 255))
    seen = []
    for task in tasks:
        seen.append(task.place.name)
        if seen[-1] == "frame_000002":
            tasks.fail(task, ValueError("too\n large"))
    assert seen == ["a", "frame_000000", "frame_000001", "frame_000002"]
    assert next(iter(tasks.failed.values())) == "frame_000002: too large"


def test_an_error_without_words_has_a_name(sources):
    tasks = Tasks(sources, 3, (0, 255))
    tasks.fail(next(iter(tasks)), MemoryError())
    assert list(tasks.failed.values()) == ["MemoryError"]


def test_writer_writes_the_layers_and_knows_what_is_finished(sources, tmp_path):
    out = tmp_path / "out"
    task = next(iter(Tasks(sources, 1, (0, 255))))
    writer = Writer(Halves(), out, ["overlay", "rgba", "probabilities"])
    assert not writer.finished(task, 0)
    writer.write(task)
    names = ["overlay/x/a.png", "probabilities/x/a.npy", "rgba/x/a.png", "x/a.png"]
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.*")) == names
    assert np.load(out / names[1]).tolist() == np.broadcast_to([1, 0], (4, 6, 2)).tolist()
    assert np.asarray(Image.open(out / names[0])).tolist() == np.full((4, 6, 3), 38).tolist()
    assert not np.asarray(Image.open(out / names[2])).any()
    oldest = min((out / name).stat().st_mtime_ns for name in names)
    assert writer.finished(task, 0) and not writer.finished(task, oldest)
    assert Writer(Halves(), out).finished(task, 0)
    (out / names[2]).unlink()
    assert not writer.finished(task, 0) and Writer(Halves(), out).finished(task, 0)
