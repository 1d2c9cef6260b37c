"""A folder of images and a folder of their annotations."""

import logging
import pathlib
import threading
import zlib

import numpy as np

from keras_wsseg.annotations import (
    PADDING,
    UNLABELED,
    enlarge_clicks,
    shorten_scribbles,
    simulate_clicks,
    simulate_scribbles,
)
from keras_wsseg.arguments import check_integer, check_number
from keras_wsseg.data.arguments import resolve_classes
from keras_wsseg.data.constant_label_images import ConstantLabelImages
from keras_wsseg.data.image_format import check_format, common_format, inspect_files
from keras_wsseg.data.label_files import (
    LabelReader,
    check_depths,
    check_ids,
    check_values_are_ids,
    classes_without_pixel,
)
from keras_wsseg.data.listing import (
    files_by_stem,
    read_lines,
    require_files,
    select_names,
    select_unlabeled,
)
from keras_wsseg.data.segmentation_dataset import SegmentationDataset
from keras_wsseg.imaging.file_names import normal_name
from keras_wsseg.imaging.label_map import read_instance_map
from keras_wsseg.imaging.label_values import resolve_values
from keras_wsseg.imaging.labels import MOST_CLASSES
from keras_wsseg.imaging.read_image import inspect_image
from keras_wsseg.imaging.suffixes import IMAGE_SUFFIXES, LABEL_SUFFIXES


class SegmentationFolder(SegmentationDataset):
    """Images and annotations in a folder, all validated before training starts.

    ```
    root/
        images/       scan1.png  scan2.jpg ...   gray (8 or 16 bits) or color
        scribbles/    scan1.png  scan2.png ...   ids; clicks/, labels/ or any other name likewise
        classes.txt   one class name per line (optional)
        train.txt     names, one per line, with or without extension (optional; val.txt etc. likewise)
    ```

    Annotations are single-channel or palette images of class ids; 255 is unlabeled, 254 outside the image.
    If they contain other values, such as masks of 0 and 255, `values` defines their meaning.

    Args:
        root: the folder.
        annotation: the sub-folder of annotations, or `"simulated_clicks"` or `"simulated_scribbles"`,
            generated from the dense `labels/`.
        split: use the names in `root/<split>.txt`.
        names: use these names: a sequence, or the path of a list. Without `split` and `names`: all images
            that have an annotation.
        num_classes: number of classes; by default that of the names, else the largest id found plus one.
        class_names: names of the classes; by default the lines of `classes.txt`, else their numbers.
        color_mode: `"grayscale"` or `"rgb"` to convert to; by default gray if all images are, else rgb.
        value_range: lowest and highest value that an image may have, required for floating point; by
            default (0, 255) for 8 bits and (0, 65535) for 16. 8-bit images are scaled to any other range.
        values: meaning of the values in the annotation files, a dict from each value to the name or number of
            a class, as a string, to "unlabeled" or "padding": `{0: "background", 255: "cell"}`. None: they
            are ids.
        ignore_values: values in the annotation files that mean unlabeled, whether or not `values` contains
            them.
        click_size: side of the clicks in pixels, odd; for `"clicks"` and `"simulated_clicks"`.
        stuff_classes: ids or names of classes whose components under 256 pixels get no simulated click.
        instances: sub-folder of instance maps with the same file names as in `labels/`, which contain a
            positive number for each thing and 0 for unknown, so that adjacent things of one class get a
            simulated click each. By default a thing is an 8-connected component of a class.
        scribble_length: fraction of each scribble that is kept, from 1 down to 0, a single click; for
            `"scribbles"` (see `annotations.shorten_scribbles`) and `"simulated_scribbles"`.
        scribble_width: thickness of the simulated scribbles in pixels.
        seed: seed of the simulated and of the shortened scribbles, and of the images that `labeled_fraction`
            keeps; an image's scribbles depend only on its name and the seed.
        labeled_fraction: fraction of the annotated images, above 0, that keep their annotation, at least one
            of them; those of a smaller fraction are among those of a larger one. The rest go to `unlabeled`.
        unlabeled_split: list `root/<unlabeled_split>.txt` of further images, which need no annotation
            and go to `unlabeled` too. `len` and `names` refer to the annotated images only.

    Raises:
        FileNotFoundError: a folder, list or file is missing.
        ValueError: an argument is out of range or without effect here, a list is empty, a file is unreadable,
            an image and its annotation differ in size, an id is not a class, only one class is annotated (if
            the classes are known, every pixel of all label maps may be of one class), ids have an unexplained
            gap, or label maps differ in their bits per pixel. Errors name the file.

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
        color_mode=None,
        value_range=None,
        ignore_values=(),
        click_size=1,
        stuff_classes=(),
        scribble_length=1.0,
        scribble_width=3,
        seed=0,
        labeled_fraction=1.0,
        unlabeled_split=None,
        values=None,
        instances=None,
    ):
        value_range = check_format(color_mode, value_range)
        self.root, self.annotation = pathlib.Path(root), annotation
        check_number("labeled_fraction", labeled_fraction, above=0, high=1)
        if num_classes is not None:
            num_classes = check_integer("num_classes", num_classes, low=1, high=MOST_CLASSES)
        ignored = _ignored(ignore_values, values)
        seeded = scribble_length != 1.0 or labeled_fraction != 1.0
        self._check_simulation(
            click_size, stuff_classes, scribble_length, scribble_width, seed, seeded, instances
        )
        labels = "labels" if annotation in ("simulated_clicks", "simulated_scribbles") else annotation
        images = files_by_stem(self.root, "images", IMAGE_SUFFIXES)
        annotations = files_by_stem(self.root, labels, LABEL_SUFFIXES)
        self.names = select_names(self.root, split, names, images, annotations, labels)
        further = select_unlabeled(self.root, unlabeled_split, images, self.names)
        self._files = [(images[name], annotations[name]) for name in self.names]
        self._files += [(images[name], None) for name in further]
        self._instances = self._find_instances(instances, labels)

        if class_names is None and (self.root / "classes.txt").is_file():
            class_names = read_lines(self.root / "classes.txt")
            if num_classes is not None and num_classes != len(class_names):
                raise ValueError(
                    f"`num_classes` must be the number of lines of {str(self.root / 'classes.txt')!r}, "
                    f"{len(class_names)}. Received: num_classes={num_classes!r}"
                )
        values, class_names = resolve_values(values, class_names, num_classes)
        self._labels = LabelReader(values, ignored)
        image_infos, infos = self._inspect(value_range)
        self._check_instances(image_infos)
        kept = self._keep(labeled_fraction, seed)
        # All annotations are used, so that the fraction does not change the classes.
        paths = [path for _, path in self._files[: len(infos)]]
        check_depths(paths, infos)
        found = [np.flatnonzero(info.counts[:PADDING]) for info in infos]
        if not any(found[index].size for index in kept):
            raise ValueError(
                f"At least one pixel must be annotated in the {len(kept)} files of "
                f"{str(self.root / labels)!r}. Received: only 254 and 255"
            )
        known = class_names if num_classes is None else class_names or range(num_classes)
        check_values_are_ids(repr(str(self.root / labels)), infos, known, values_given=values is not None)
        largest = max(int(ids.max(initial=0)) for ids in found)
        self.num_classes, self.class_names = resolve_classes(num_classes, class_names, largest)
        check_ids(paths, infos, self.num_classes)
        self._warn_of_missing(classes_without_pixel(infos, self.class_names), str(self.root / labels))
        self._stuff_classes = self._stuff(stuff_classes)
        self._format = common_format(
            [image for image, _ in self._files], image_infos, color_mode, value_range
        )
        self.channels, self.dtype, self.value_range = self._format
        self._divide(kept, (*self.names, *further))

    def load(self, index):
        """Reads an image and its annotation (and simulates it).

        Args:
            index: position in `names`.

        Returns:
            `(image (height, width, channels) in its own type, uint8 labels (height, width))`.

        Raises:
            ValueError: a file has become unreadable since the folder was opened.
        """
        image_file, label_file = self._files[index]
        image, labels = self._format.read(image_file), self._labels.read(label_file)
        if self.annotation == "simulated_clicks":
            file = self._instances.get(self.names[index])
            instances = None if file is None else read_instance_map(file)
            labels = simulate_clicks(labels, self._click_size, self._stuff_classes, instances=instances)
            return image, labels
        # Seeded by name, not by position: an image keeps its scribbles in any list.
        seed = (self._seed, zlib.crc32(self.names[index].encode()))
        if self.annotation == "simulated_scribbles":
            # Two threads of many small NumPy calls are slower than one.
            with self._one_at_a_time:
                labels = simulate_scribbles(labels, self._scribble_length, seed, self._scribble_width)
        elif self._scribble_length < 1:
            labels = shorten_scribbles(labels, self._scribble_length, seed)
        elif self._click_size > 1:
            labels = enlarge_clicks(labels, self._click_size)
        return image, labels

    def _check_simulation(
        self, click_size, stuff_classes, scribble_length, scribble_width, seed, seeded, instances
    ):
        given = {
            "click_size": (click_size != 1, ("clicks", "simulated_clicks")),
            "stuff_classes": (len(stuff_classes) > 0, ("simulated_clicks",)),
            "instances": (instances is not None, ("simulated_clicks",)),
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
                "`seed` has an effect on simulated_scribbles and with `scribble_length` or "
                f"`labeled_fraction` only. Received: seed={seed!r}, annotation={self.annotation!r}"
            )
        if check_integer("click_size", click_size, low=1) % 2 == 0:
            raise ValueError(f"`click_size` must be odd. Received: click_size={click_size!r}")
        check_number("scribble_length", scribble_length, low=0, high=1)
        check_integer("scribble_width", scribble_width, low=1)
        check_integer("seed", seed, low=0)
        self._one_at_a_time = threading.Lock()
        self._click_size, self._seed = click_size, seed
        self._scribble_length, self._scribble_width = scribble_length, scribble_width

    def _inspect(self, value_range):
        """Reads all files once; returns infos of all images, and of the annotations that exist."""

        def check(files):
            image = inspect_image(files[0], value_range)
            return image, None if files[1] is None else self._labels.inspect(files[1], image.size)

        images, infos = zip(*inspect_files(check, self._files), strict=True)
        return images, [info for info in infos if info is not None]

    def _find_instances(self, folder, labels):
        if folder is None:
            return {}
        found = files_by_stem(self.root, folder, LABEL_SUFFIXES)
        require_files(self.names, f"the label maps in {str(self.root / labels)!r}", self.root / folder, found)
        return found

    def _check_instances(self, images):
        if self._instances:
            files = [self._instances[name] for name in self.names]
            sizes = [image.size for image in images[: len(files)]]
            inspect_files(_check_instance_size, list(zip(files, sizes, strict=True)))

    def _keep(self, fraction, seed):
        """Positions, ascending, of the images that keep their annotation."""
        count = len(self.names)
        order = np.random.default_rng(seed).permutation(count)
        return sorted(order[: max(1, round(fraction * count))].tolist())

    def _divide(self, kept, names):
        """Keeps the images at `kept`, and moves the others to `unlabeled`."""
        others = sorted(set(range(len(names))) - set(kept))
        if others:
            self.unlabeled = ConstantLabelImages(
                self.class_names,
                self._format,
                [names[index] for index in others],
                [self._files[index] for index in others],
                UNLABELED,
                self._labels.read,
            )
        self.names = tuple(names[index] for index in kept)
        self._files = [self._files[index] for index in kept]

    @staticmethod
    def _warn_of_missing(names, place):
        if names:
            logging.getLogger("keras_wsseg").warning(
                "no pixel of the label maps in %s has class %s: it can be neither learned nor evaluated",
                place,
                ", ".join(names),
            )

    def _stuff(self, stuff_classes):
        known = {name: number for number, name in enumerate(self.class_names)}
        names = [normal_name(value) if isinstance(value, str) else value for value in stuff_classes]
        ids = [known.get(value, value) for value in names]
        for number in ids:
            if number not in range(self.num_classes):
                raise ValueError(
                    f"`stuff_classes` must hold ids or names of classes. Received: {number!r} among "
                    f"{len(known)} classes"
                )
        return tuple(ids)


def _check_instance_size(file_and_size):
    file, (height, width) = file_and_size
    found = read_instance_map(file).shape
    if found != (height, width):
        raise ValueError(
            f"The instance map {str(file)!r} must be as large as its image, {width}x{height}. "
            f"Received: {found[1]}x{found[0]}"
        )


def _ignored(ignore_values, values):
    given = ignore_values
    given = given if isinstance(given, (tuple, list, set, frozenset, range)) else [given]
    # With `values`, file values may exceed the range of ids.
    high = 255 if values is None else None
    try:
        return sorted(check_integer("ignore_values", value, low=0, high=high) for value in given)
    except ValueError as error:
        expected = "ids from 0 to 255" if values is None else "integers of at least 0"
        raise ValueError(
            f"`ignore_values` must hold {expected}. Received: ignore_values={ignore_values!r}"
        ) from error
