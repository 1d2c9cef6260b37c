"""One prediction after the other: what is read, what is written of it, and what is finished already."""

import dataclasses
import functools
import pathlib
import typing

import numpy as np

from keras_wsseg.cli import console
from keras_wsseg.cli.video import VIDEOS, count_frames, read_frames

# What can be written besides the masks, each in a folder of its name, with the suffix of its files.
LAYERS = {"overlay": ".png", "rgba": ".png", "probabilities": ".npy"}
_ALPHA = 0.5


@dataclasses.dataclass(frozen=True)
class Task:
    """An image, or a frame of a video, that shall have a mask.

    Args:
        path: of the image or the video.
        place: of the mask below the folder of masks, without suffix.
        read: function without arguments to the image, `(height, width, channels)`.
    """

    path: pathlib.Path
    place: pathlib.Path
    read: typing.Callable


class Tasks:
    """All images, and all frames of all videos, one after the other.

    Args:
        images: dict from path to place, as `find_images` gives it.
        channels: 1 or 3, which the images are brought to.
        value_range: that images of 8 bits are brought to.
        every: of a video's frames each n-th.

    Attributes:
        failed: dict from the images and videos that had no masks, or not all of them, to the reason.
    """

    def __init__(self, images, channels, value_range, every=1):
        self.failed = {}
        self._images = images
        self._channels = channels
        self._value_range = value_range
        self._every = every

    def __len__(self):
        """How many there seem to be, by what the videos tell of their length."""
        return sum(-(-count_frames(path) // self._every) if is_video(path) else 1 for path in self._images)

    def __iter__(self):
        for path, place in self._images.items():
            if is_video(path):
                yield from self._frames(path, place)
            else:
                yield Task(path, place, functools.partial(_read, path, self._channels, self._value_range))

    def fail(self, task, error):
        """Notes what kept an image from having a mask; of a video, no further frames are given then."""
        frame = f"{task.place.name}: " if is_video(task.path) else ""
        self.failed[task.path] = frame + console.single_line(error)

    def _frames(self, path, place):
        try:
            for number, frame in read_frames(path, self._every):
                read = functools.partial(_brought, frame, self._channels, self._value_range)
                yield Task(path, frame_place(place, number), read)
                if path in self.failed:
                    return
        except Exception as error:
            self.failed[path] = console.single_line(error)


class Writer:
    """Writes what was asked for of each image, the mask last, so that a mask stands for all of it.

    Args:
        segmenter: as `load_segmenter` gives it.
        out: folder of the masks, a path.
        layers: which of `LAYERS` are written besides.
    """

    def __init__(self, segmenter, out, layers=()):
        self._segmenter = segmenter
        self._out = out
        self._layers = layers

    def finished(self, task, since):
        """Whether all files of the task are there, and newer than the image and than `since`."""
        since = max(since, task.path.stat().st_mtime_ns)
        try:
            return all(path.stat().st_mtime_ns > since for path in self._files(task.place).values())
        except FileNotFoundError:
            return False

    def write(self, task):
        """Predicts an image and writes its files."""
        from keras_wsseg.imaging import write_label_map, write_png

        segmenter = self._segmenter
        image = task.read()
        files = self._files(task.place)
        for path in files.values():
            path.parent.mkdir(parents=True, exist_ok=True)
        if "probabilities" in files:
            probabilities = segmenter.probabilities(image)
            mask = np.argmax(probabilities, axis=-1)
            _write_array(files["probabilities"], probabilities)
        else:
            mask = np.asarray(segmenter(image))
        if "overlay" in files:
            write_png(files["overlay"], self._painted(image, mask))
        if "rgba" in files:
            write_png(files["rgba"], self._layer(mask))
        write_label_map(files["mask"], mask, segmenter.palette)

    def _painted(self, image, mask):
        from keras_wsseg.imaging import overlay

        return overlay(image, mask, self._segmenter.palette, _ALPHA, self._segmenter.value_range)

    def _layer(self, mask):
        from keras_wsseg.imaging.overlay import color_layer

        names = self._segmenter.class_names
        clear = [number for number, name in enumerate(names) if name == "background"]
        return color_layer(mask, self._segmenter.palette, _ALPHA, clear)

    def _files(self, place):
        layers = {layer: self._out / layer / f"{place}{LAYERS[layer]}" for layer in self._layers}
        return {**layers, "mask": self._out / f"{place}.png"}


def is_video(path):
    """Whether the file is one by its name."""
    return path.suffix.lower() in VIDEOS


def frame_place(place, number):
    """Where the mask of a frame goes, given the place of its video."""
    return place / f"frame_{number:06d}"


def _read(path, channels, value_range):
    from keras_wsseg.imaging import ImageError, read_image

    try:
        return read_image(path, channels, value_range)
    except ImageError as error:
        # The name stands before the reason already.
        raise ImageError(error.reason) from error


def _brought(frame, channels, value_range):
    from keras_wsseg.imaging.decoding import as_channels
    from keras_wsseg.imaging.value_fit import fit_values

    return fit_values(as_channels(frame, channels), value_range)


def _write_array(path, array):
    from keras_wsseg.imaging.atomic_write import atomic_write

    with atomic_write(path) as draft:
        np.save(draft, array)
