"""Folders of images that contain an object, and of images that do not."""

import pathlib

from keras_wsseg.data.constant_label_images import ConstantLabelImages
from keras_wsseg.data.image_format import check_format, inspect_copies
from keras_wsseg.data.listing import files_of_folders, folder_list, listed_names, read_lines, require_files
from keras_wsseg.imaging.file_names import normal_name
from keras_wsseg.imaging.labels import UNLABELED

_BACKGROUND = 0


class SingleClassFolder(ConstantLabelImages):
    """Images known to contain an object, and optionally images known not to; no pixel is labeled.

    For losses that need no more than that, such as `losses.SingleClassLoss`. The labels distinguish them: an
    image with the object, a positive, is 255 (unlabeled) everywhere, and one without, a negative, is 0
    (background) everywhere.

    ```
    root/
        images/      horse1.jpg  horse2.jpg ...   each with a horse: `positives`
        others/      street.jpg  kitchen.png ...  none with a horse: `negatives`, optional
        train.txt    names of positives, one per line, with or without extension (optional)
    ```

    Files of the same name in several folders are one image, and must have the same content: an image of a cat
    and a dog is in both folders. An image among the positives, whether selected by `split` or not, is never a
    negative.

    Args:
        root: the folder.
        positives: sub-folder of `root`, or absolute path, of images with the object; or a sequence of them.
        negatives: the same of images without it. Their `SegmentationDataset` is the attribute `negatives`,
            None if there are none; `train(..., negative_batch=...)` mixes them in.
        split: use the names of positives in `root/<split>.txt`.
        names: use these names: a sequence, or the path of a list. Without `split` and `names`: all of them.
        object_name: name of the object, class 1. None: the second line of `root/classes.txt` if it exists,
            which then has two lines, else "object".
        color_mode: `"grayscale"` or `"rgb"` to convert to; by default gray if all images are, else rgb.
        value_range: lowest and highest value that an image may have; by default (0, 255) for 8 bits and
            (0, 65535) for 16, required for floating point.

    Raises:
        FileNotFoundError: a folder, list or file is missing.
        ValueError: an argument is out of range, a folder or list is empty, every negative is a positive, a
            file is unreadable, or files of the same name differ. Errors name the file.

    Example:

    >>> import os, tempfile
    >>> from PIL import Image
    >>> root = tempfile.mkdtemp()
    >>> for folder in ("horses", "streets"):
    ...     os.mkdir(os.path.join(root, folder))
    ...     Image.fromarray(np.eye(8, dtype=np.uint8)).save(os.path.join(root, folder, f"{folder}.png"))
    >>> folder = SingleClassFolder(root, "horses", negatives="streets", object_name="horse")
    >>> folder.class_names, len(folder), len(folder.negatives)
    (('background', 'horse'), 1, 1)
    >>> _, labels = next(iter(folder.train(2, 8, mode="resize", negative_batch=1)))
    >>> labels[:, 0, 0].numpy().tolist()
    [255, 0]
    """

    def __init__(
        self,
        root,
        positives="images",
        negatives=(),
        split=None,
        names=None,
        object_name=None,
        color_mode=None,
        value_range=None,
    ):
        value_range = check_format(color_mode, value_range)
        root, places = pathlib.Path(root), folder_list("positives", positives)
        if not places:
            raise ValueError(f"`positives` must name at least one folder. Received: positives={positives!r}")
        known = files_of_folders(root, places)
        without = files_of_folders(root, folder_list("negatives", negatives))
        names, origin = listed_names(root, split, names, known)
        if names is None:
            names = tuple(known)
        require_files(names, origin, ", ".join(str(root / place) for place in places), known)
        copies = {
            name: known.get(name, []) + without.get(name, []) for name in {**dict.fromkeys(names), **without}
        }
        image_format = inspect_copies(copies, color_mode, value_range)
        without = {name: files for name, files in without.items() if name not in known}
        if not without and folder_list("negatives", negatives):
            raise ValueError(
                "`negatives` must hold at least one image that is not among the positives. "
                f"Received: negatives={negatives!r}"
            )
        self._open(
            [(name, known[name][0]) for name in names],
            [(name, files[0]) for name, files in without.items()],
            _listed_name(root) if object_name is None else object_name,
            image_format,
        )

    @classmethod
    def of_files(cls, positives, negatives, object_name, image_format):
        """Creates one from files that are already listed and inspected.

        Args:
            positives: list of `(name, path)` of the images with the object.
            negatives: the same of those without it; may be empty.
            object_name: as in the class.
            image_format: the `ImageFormat` of all of them.

        Returns:
            a `SingleClassFolder`.

        Raises:
            ValueError: `object_name` is not a valid name.
        """
        folder = cls.__new__(cls)
        folder._open(positives, negatives, object_name, image_format)
        return folder

    def _open(self, positives, negatives, object_name, image_format):
        if not isinstance(object_name, str) or object_name in ("", "background"):
            raise ValueError(
                "`object_name` must be a name other than that of the background. "
                f"Received: object_name={object_name!r}"
            )

        class_names = ("background", normal_name(object_name))
        common = {"class_names": class_names, "image_format": image_format}
        super().__init__(**common, **_listed(positives), value=UNLABELED)
        if negatives:
            self.negatives = ConstantLabelImages(**common, **_listed(negatives), value=_BACKGROUND)


def _listed_name(root):
    path = root / "classes.txt"
    if not path.is_file():
        return "object"
    lines = read_lines(path)
    if len(lines) != 2:
        raise ValueError(
            f"`object_name` must be given where {str(path)!r} names other than two classes, the background "
            f"and the object. Received: object_name=None and {len(lines)} names"
        )
    return lines[1]


def _listed(images):
    return {"names": [name for name, _ in images], "files": [(path, None) for _, path in images]}
