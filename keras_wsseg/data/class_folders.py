"""A folder of images for each class."""

import pathlib

from keras_wsseg.data.image_format import check_format, inspect_copies
from keras_wsseg.data.listing import files_of_folders, folder_list, merge_files, read_lines
from keras_wsseg.data.single_class_folder import SingleClassFolder
from keras_wsseg.imaging.file_names import is_hidden, normal_name, path_on_disk


class ClassFolders:
    """Images sorted by class, to train one network per class and to label pixels with these.

    ```
    root/
        positives/
            cat/       a.jpg  b.jpg     each with a cat
            dog/       b.jpg  c.jpg     each with a dog; b.jpg, in both, shows both
        negatives/     street.jpg ...   images of none of the classes (optional)
        classes.txt    the names of the class folders in order, one per line (optional)
    ```

    Files of the same name in several folders are one image, and must have the same content. All images are
    read once, so that every class has the same channels and values.

    Args:
        root: the folder.
        positives: sub-folder of `root`, or absolute path, that contains a folder for each class.
        negatives: sub-folder of `root`, or absolute path, of images of none of the classes; or a sequence
            of them; by default `"negatives"` if there is such a folder.
        color_mode: `"grayscale"` or `"rgb"` to convert to; by default gray if all images are, else rgb.
        value_range: lowest and highest value that an image may have; by default (0, 255) for 8 bits and
            (0, 65535) for 16, required for floating point.

    Attributes:
        class_names: the names of the class folders, without the background: in the order of `classes.txt`
            (where a first line "background" is ignored), else sorted.
        channels, dtype, value_range: the images' format, as in `SegmentationDataset`.

    Raises:
        FileNotFoundError: a folder is missing, or `positives` contains none.
        ValueError: an argument is out of range, `classes.txt` does not list the folders, two folder names
            differ only in their Unicode form, a class has no image, a file is unreadable, or files of the
            same name differ. Errors name the file.

    Example:

    >>> import os, tempfile
    >>> from PIL import Image
    >>> root = tempfile.mkdtemp()
    >>> for name in ("cat/a", "cat/b", "dog/b", "dog/c"):
    ...     path = os.path.join(root, "positives", name)
    ...     os.makedirs(os.path.dirname(path), exist_ok=True)
    ...     Image.fromarray(np.eye(8, dtype=np.uint8)).save(path + ".png")
    >>> folders = ClassFolders(root)
    >>> folders.class_names, folders.of_class("cat").names, folders.of_class("cat").negatives.names
    (('cat', 'dog'), ('a', 'b'), ('c',))
    >>> [(name, stem) for name, stem, _ in folders.single_class_images()]
    [('cat', 'a'), ('dog', 'c')]
    """

    def __init__(self, root, positives="positives", negatives=None, color_mode=None, value_range=None):
        value_range = check_format(color_mode, value_range)
        self.root = pathlib.Path(root)
        self.class_names = self._names(path_on_disk(self.root / positives))
        self._members = {
            name: files_of_folders(self.root, (pathlib.Path(positives, name),)) for name in self.class_names
        }
        if negatives is None:
            negatives = ("negatives",) if (self.root / "negatives").is_dir() else ()
        self._without = files_of_folders(self.root, folder_list("negatives", negatives))
        copies = merge_files([*self._members.values(), self._without])
        self._format = inspect_copies(copies, color_mode, value_range)
        self.channels, self.dtype, self.value_range = self._format

    def of_class(self, name):
        """The images of one class, with those of other classes and of none as negatives.

        Args:
            name: one of `class_names`.

        Returns:
            a `SingleClassFolder` whose object is the class.

        Raises:
            ValueError: there is no such class.
        """
        name = normal_name(str(name))
        if name not in self._members:
            raise ValueError(
                f"`name` must be one of the classes {', '.join(self.class_names)}. Received: name={name!r}"
            )
        members = self._members[name]
        others = [files for other, files in self._members.items() if other != name]
        others = merge_files([*others, self._without])
        return SingleClassFolder.of_files(
            [(stem, files[0]) for stem, files in members.items()],
            [(stem, files[0]) for stem, files in others.items() if stem not in members],
            name,
            self._format,
        )

    def single_class_images(self):
        """The images that are in the folder of only one class, class by class.

        If an image contains only one class, a network that separates it from the background determines the
        label of every pixel.

        Returns:
            list of `(class name, name of the image without extension, path)`.
        """
        classes = merge_files(self._members.values())
        return [
            (name, stem, files[0])
            for name, members in self._members.items()
            for stem, files in members.items()
            if len(classes[stem]) == 1
        ]

    def _names(self, place):
        if not self.root.is_dir():
            raise FileNotFoundError(f"`root` must be a folder. Received: root={str(self.root)!r}")
        folders = place.iterdir() if place.is_dir() else ()
        found = sorted(
            normal_name(path.name) for path in folders if path.is_dir() and not is_hidden(path.name)
        )
        if not found:
            raise FileNotFoundError(f"{str(place)!r} must hold a folder for each class. Received: none")
        if "background" in found:
            raise ValueError(
                f"{str(place)!r} must hold folders of objects; images of none belong in `negatives`. "
                "Received: a folder 'background'"
            )
        if len(set(found)) < len(found):
            raise ValueError(
                f"{str(place)!r} must hold one folder for each class. "
                f"Received: two of the name {max(found, key=found.count)!r}, in different Unicode forms"
            )
        path = self.root / "classes.txt"
        if not path.is_file():
            return tuple(found)
        listed = read_lines(path)
        if listed[0] == "background":
            listed = listed[1:]
        if sorted(listed) != found:
            raise ValueError(
                f"The list {str(path)!r} must have each folder of {str(place)!r} once, {', '.join(found)}. "
                f"Received: {', '.join(listed) or 'none'}"
            )
        return tuple(listed)
