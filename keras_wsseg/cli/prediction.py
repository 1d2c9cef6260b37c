"""One prediction after the other: what is read, what is written of it, and what is finished already."""

import dataclasses
import functools
import os
import pathlib
import typing

import numpy as np

from keras_wsseg.cli.video import VIDEOS, count_frames, read_frames


@dataclasses.dataclass(frozen=True)
class Task:
    """A picture, or a frame of a video, that shall have a mask.

    Args:
        path: of the picture or the video.
        place: of the mask below the folder of masks, without suffix.
        read: function without arguments to the picture, `(height, width, channels)`.
    """

    path: pathlib.Path
    place: pathlib.Path
    read: typing.Callable


class Tasks:
    """All pictures, and all frames of all videos, one after the other.

    Args:
        pictures: dict from path to place, as `find_pictures` gives it.
        channels: 1 or 3, which the pictures are brought to.
        every: of a video's frames each n-th.
        failed: list to which `(path, reason)` of a video is added that cannot be read to its end.
    """

    def __init__(self, pictures, channels, every, failed):
        self._pictures = pictures
        self._kind = "grey" if channels == 1 else "rgb"
        self._every = every
        self._failed = failed

    def __len__(self):
        """How many there seem to be, by what the videos tell of their length."""
        return sum(-(-count_frames(path) // self._every) if is_video(path) else 1 for path in self._pictures)

    def __iter__(self):
        from keras_wsseg.data.picture import read_picture

        for path, place in self._pictures.items():
            if is_video(path):
                yield from self._frames(path, place)
            else:
                yield Task(path, place, functools.partial(read_picture, path, self._kind))

    def _frames(self, path, place):
        try:
            for number, frame in read_frames(path, self._every):
                yield Task(path, frame_place(place, number), functools.partial(_coloured, frame, self._kind))
        except Exception as error:
            self._failed.append((path, one_line(error)))


class Writer:
    """Writes what was asked for of each picture, the mask last, so that a mask stands for all of it.

    Args:
        segmenter: as `load_segmenter` gives it.
        out: folder of the masks, a path.
        probabilities: whether the probabilities are kept too.
        overlay: whether the masks are laid over their pictures too.
    """

    def __init__(self, segmenter, out, probabilities, overlay):
        self._segmenter = segmenter
        self._out = out
        self._probabilities = probabilities
        self._overlay = overlay

    def finished(self, task, since):
        """Whether all files of the task are there, and newer than the picture and than `since`."""
        since = max(since, task.path.stat().st_mtime_ns)
        try:
            return all(path.stat().st_mtime_ns > since for path in self._files(task.place).values())
        except FileNotFoundError:
            return False

    def write(self, task):
        """Predicts a picture and writes its files."""
        from keras_wsseg.annotations import write_label_map
        from keras_wsseg.visualization import overlay, write_png

        segmenter = self._segmenter
        picture = task.read()
        files = self._files(task.place)
        if self._probabilities:
            probabilities = segmenter.probabilities(picture)
            mask = np.argmax(probabilities, axis=-1)
            _write_array(files["probabilities"], probabilities)
        else:
            mask = np.asarray(segmenter(picture))
        if self._overlay:
            painted = overlay(
                picture, mask.astype("int64"), segmenter.palette, value_range=segmenter.value_range
            )
            write_png(files["overlay"], painted)
        files["mask"].parent.mkdir(parents=True, exist_ok=True)
        write_label_map(files["mask"], mask, segmenter.palette)

    def _files(self, place):
        files = {"mask": self._out / f"{place}.png"}
        if self._probabilities:
            files["probabilities"] = self._out / "probabilities" / f"{place}.npy"
        if self._overlay:
            files["overlay"] = self._out / "overlay" / f"{place}.png"
        return files


def is_video(path):
    """Whether the file is one by its name."""
    return path.suffix.lower() in VIDEOS


def frame_place(place, number):
    """Where the mask of a frame goes, given the place of its video."""
    return place / f"frame_{number:06d}"


def one_line(error):
    """What an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _coloured(frame, kind):
    if kind == "rgb":
        return frame
    from PIL import Image

    return np.asarray(Image.fromarray(frame).convert("L"))[..., None]


def _write_array(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as stream:
            np.save(stream, array)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
