"""A folder of pictures with a folder of annotations beside it."""

import pathlib
import threading
import zlib

import numpy as np

from keras_wsseg.annotations import (
    OUTSIDE,
    UNLABELLED,
    enlarge_clicks,
    read_label_map,
    shorten_scribbles,
    simulate_clicks,
    simulate_scribbles,
)
from keras_wsseg.data.arguments import resolve_classes
from keras_wsseg.data.listing import (
    IMAGE_SUFFIXES,
    files_by_stem,
    read_lines,
    select_names,
    select_unlabelled,
)
from keras_wsseg.data.picture import inspect_picture
from keras_wsseg.data.picture_format import check_format, common_format, inspect_files
from keras_wsseg.data.segmentation_dataset import SegmentationDataset
from keras_wsseg.data.uniform_pictures import UniformPictures

# JPEG alters ids, so annotations are not looked for in it.
_LABEL_SUFFIXES = (".png", ".bmp", ".tif", ".tiff")


class SegmentationFolder(SegmentationDataset):
    """Images and annotations in a folder, all checked before training starts.

    ```
    root/
        images/       scan1.png  scan2.jpg ...   grey (8 or 16 bits) or colour
        scribbles/    scan1.png  scan2.png ...   ids; clicks/, labels/ or any other name likewise
        classes.txt   one class name a line (optional)
        train.txt     names without extension, one a line (optional; val.txt and others likewise)
    ```

    Annotations are single-channel or palette images of class ids; 255 is unlabelled, 254 outside the image.

    Args:
        root: the folder.
        annotation: the sub-folder of annotations, or `"simulated_clicks"` or `"simulated_scribbles"`, made
            from the dense `labels/`.
        split: take the names from `root/<split>.txt`.
        names: take these names: a sequence, or the path of a list. Without `split` and `names`: all pictures
            that have an annotation.
        num_classes: number of classes; by default that of the names, else the largest id found plus one.
        class_names: names of the classes; by default the lines of `classes.txt`, else their numbers.
        channels: `"grey"` or `"rgb"` to convert to; by default grey if all pictures are, else rgb.
        value_range: lowest and highest value that a picture may have; by default (0, 255) for 8 bits and
            (0, 65535) for 16, required for floating point.
        ignore_values: ids in the annotation files that mean unlabelled.
        click_size: side of the clicks in pixels, odd; for `"clicks"` and `"simulated_clicks"`.
        stuff_classes: ids or names of classes whose components under 256 pixels get no simulated click.
        scribble_length: part of each scribble that is kept, from 1 down to 0, a single click; for
            `"scribbles"` (see `annotations.shorten_scribbles`) and `"simulated_scribbles"`.
        scribble_width: thickness of the simulated scribbles in pixels.
        seed: seed of the simulated and of the shortened scribbles, and of which pictures `labelled_share`
            keeps; a picture's scribbles depend on its name and the seed alone.
        labelled_share: part of the annotated pictures, above 0, that keep their annotation, at least one of
            them; those of a smaller share are among those of a larger one. The others go to `unlabelled`.
        unlabelled_split: list `root/<unlabelled_split>.txt` of further pictures, which need no annotation
            and go to `unlabelled` too. `len` and `names` tell of the annotated pictures only.

    Raises:
        FileNotFoundError: a folder, list or file is missing.
        ValueError: an argument is out of range or without effect here, a list is empty, a file is
            unreadable, an image and its annotation differ in size, or an id is no class. Errors name the
            file.

    Example:

    >>> import os, tempfile
    >>> from PIL import Image
    >>> root = tempfile.mkdtemp()
    >>> for folder in ("images", "scribbles"):
    ...     os.mkdir(os.path.join(root, folder))
    ...     Image.fromarray(np.eye(8, dtype=np.uint8)).save(os.path.join(root, folder, "a.png"))
    >>> folder = SegmentationFolder(root, class_names=("background", "thing"))
    >>> len(folder), folder.channels, folder.load(0)[0].shape
    (1, 1, (8, 8, 1))
    """

    def __init__(
        self,
        root,
        annotation="scribbles",
        split=None,
        names=None,
        num_classes=None,
        class_names=None,
        channels=None,
        value_range=None,
        ignore_values=(),
        click_size=1,
        stuff_classes=(),
        scribble_length=1.0,
        scribble_width=3,
        seed=0,
        labelled_share=1.0,
        unlabelled_split=None,
    ):
        value_range = check_format(channels, value_range)
        self.root, self.annotation = pathlib.Path(root), annotation
        self._ignored = _ids(ignore_values)
        if not 0 < labelled_share <= 1:
            raise ValueError(
                f"`labelled_share` must be above 0 and at most 1. Received: labelled_share={labelled_share!r}"
            )
        seeded = scribble_length != 1.0 or labelled_share != 1.0
        self._check_simulation(click_size, stuff_classes, scribble_length, scribble_width, seed, seeded)
        labels = "labels" if annotation in ("simulated_clicks", "simulated_scribbles") else annotation
        images = files_by_stem(self.root, "images", IMAGE_SUFFIXES)
        annotations = files_by_stem(self.root, labels, _LABEL_SUFFIXES)
        self.names = select_names(self.root, split, names, images, annotations, labels)
        further = select_unlabelled(self.root, unlabelled_split, images, self.names)
        self._files = [(images[name], annotations[name]) for name in self.names]
        self._files += [(images[name], None) for name in further]

        if class_names is None and (self.root / "classes.txt").is_file():
            class_names = read_lines(self.root / "classes.txt")
            if num_classes is not None and num_classes != len(class_names):
                raise ValueError(
                    f"`num_classes` must be the number of lines of {str(self.root / 'classes.txt')!r}, "
                    f"{len(class_names)}. Received: num_classes={num_classes!r}"
                )
        pictures, present = self._inspect(value_range)
        kept = self._keep(labelled_share, seed)
        largest = [max((ids for ids in found if ids < OUTSIDE), default=-1) for found in present]
        if max(largest[index] for index in kept) < 0:
            raise ValueError(
                f"At least one pixel must be annotated in the {len(kept)} files of "
                f"{str(self.root / labels)!r}. Received: only 254 and 255"
            )
        # All annotations count, so that the share does not change the classes.
        largest = max(largest)
        self.num_classes, self.class_names = resolve_classes(num_classes, class_names, largest)
        self._check_ids(present)
        self._stuff_classes = self._stuff(stuff_classes)
        self._format = common_format([image for image, _ in self._files], pictures, channels, value_range)
        self.channels, self.dtype, self.value_range = self._format
        self._divide(kept, (*self.names, *further))

    def load(self, index):
        """One picture and its annotation, read (and simulated) anew.

        Args:
            index: position in `names`.

        Returns:
            `(image (height, width, channels) in its own type, uint8 labels (height, width))`.

        Raises:
            ValueError: a file has become unreadable since the folder was opened.
        """
        image_file, label_file = self._files[index]
        image, labels = self._format.read(image_file), self._read_labels(label_file)
        if self.annotation == "simulated_clicks":
            labels = simulate_clicks(labels, self._click_size, self._stuff_classes)
            return image, labels
        # The name takes part, not the position: a picture keeps its scribble in another list.
        seed = (self._seed, zlib.crc32(self.names[index].encode()))
        if self.annotation == "simulated_scribbles":
            # Two threads of many small NumPy calls slow each other down to less than one.
            with self._one_at_a_time:
                labels = simulate_scribbles(labels, self._scribble_length, seed, self._scribble_width)
        elif self._scribble_length < 1:
            labels = shorten_scribbles(labels, self._scribble_length, seed)
        elif self._click_size > 1:
            labels = enlarge_clicks(labels, self._click_size)
        return image, labels

    def _read_labels(self, path):
        labels = read_label_map(path)
        if self._ignored:
            labels = np.where(np.isin(labels, self._ignored), np.uint8(UNLABELLED), labels)
        return labels

    def _check_simulation(self, click_size, stuff_classes, scribble_length, scribble_width, seed, seeded):
        given = {
            "click_size": (click_size != 1, ("clicks", "simulated_clicks")),
            "stuff_classes": (len(stuff_classes) > 0, ("simulated_clicks",)),
            "scribble_length": (scribble_length != 1.0, ("scribbles", "simulated_scribbles")),
            "scribble_width": (scribble_width != 3, ("simulated_scribbles",)),
        }
        for name, (changed, where) in given.items():
            if changed and self.annotation not in where:
                raise ValueError(
                    f"`{name}` has an effect on {' and '.join(where)} only. "
                    f"Received: annotation={self.annotation!r}"
                )
        if seed != 0 and not seeded and self.annotation != "simulated_scribbles":
            raise ValueError(
                "`seed` has an effect on simulated_scribbles and beside `scribble_length` or "
                f"`labelled_share` only. Received: seed={seed!r}, annotation={self.annotation!r}"
            )
        blank = np.full((1, 1), UNLABELLED, np.uint8)
        enlarge_clicks(blank, click_size)
        simulate_scribbles(blank, scribble_length, seed, scribble_width)
        self._one_at_a_time = threading.Lock()
        self._click_size, self._seed = click_size, seed
        self._scribble_length, self._scribble_width = scribble_length, scribble_width

    def _inspect(self, value_range):
        """All files read once: the pictures' formats, and the ids present in each annotation."""

        def check(files):
            picture = inspect_picture(files[0], value_range)
            if files[1] is None:
                return picture, []
            labels = self._read_labels(files[1])
            if labels.shape != picture.size:
                raise ValueError(
                    f"The annotation {str(files[1])!r} must be as large as its picture, "
                    f"{picture.size[1]}x{picture.size[0]}. Received: {labels.shape[1]}x{labels.shape[0]}"
                )
            return picture, np.flatnonzero(np.bincount(labels.ravel(), minlength=256)).tolist()

        return zip(*inspect_files(check, self._files), strict=True)

    def _keep(self, share, seed):
        """Positions, ascending, of the pictures that keep their annotation."""
        count = len(self.names)
        order = np.random.default_rng(seed).permutation(count)
        return sorted(order[: max(1, round(share * count))].tolist())

    def _divide(self, kept, names):
        """Leaves the pictures at `kept` here, and gives the others to `unlabelled`."""
        others = sorted(set(range(len(names))) - set(kept))
        if others:
            self.unlabelled = UniformPictures(
                self.class_names,
                self._format,
                [names[index] for index in others],
                [self._files[index] for index in others],
                UNLABELLED,
                self._read_labels,
            )
        self.names = tuple(names[index] for index in kept)
        self._files = [self._files[index] for index in kept]

    def _check_ids(self, present):
        for (_, path), found in zip(self._files, present, strict=True):
            wrong = [ids for ids in found if self.num_classes <= ids < OUTSIDE]
            if wrong:
                raise ValueError(
                    f"The annotation {str(path)!r} must hold class ids 0 to {self.num_classes - 1}, 254 or "
                    f"255. Received: {', '.join(map(str, wrong))}"
                )

    def _stuff(self, stuff_classes):
        known = {name: number for number, name in enumerate(self.class_names)}
        ids = [known.get(value, value) for value in stuff_classes]
        for number in ids:
            if number not in range(self.num_classes):
                raise ValueError(
                    f"`stuff_classes` must hold ids or names of classes. Received: {number!r} among "
                    f"{len(known)} classes"
                )
        return tuple(ids)


def _ids(values):
    ids = sorted(values) if isinstance(values, (tuple, list, set, frozenset, range)) else [values]
    if not all(isinstance(value, (int, np.integer)) and 0 <= value <= 255 for value in ids):
        raise ValueError(f"`ignore_values` must hold ids from 0 to 255. Received: ignore_values={values!r}")
    return ids
