"""Images whose classes are known, but not where they are."""

import pathlib

import numpy as np

from keras_wsseg.annotations import PADDING, UNLABELED, multi_hot, read_tags, tags_of_labels
from keras_wsseg.annotations.tags import BACKGROUND, check_class_names, check_min_pixels, has_header
from keras_wsseg.data.arguments import resolve_classes
from keras_wsseg.data.constant_label_images import ConstantLabelImages
from keras_wsseg.data.image_format import check_format, common_format, inspect_copies, inspect_files
from keras_wsseg.data.label_files import LabelReader, check_depths, check_ids, check_values_are_ids
from keras_wsseg.data.listing import (
    files_by_stem,
    files_of_folders,
    folder_list,
    listed_names,
    merge_files,
    read_lines,
    require_files,
    select_names,
)
from keras_wsseg.imaging.file_names import (
    is_hidden,
    normal_name,
    path_on_disk,
    without_image_suffix,
)
from keras_wsseg.imaging.label_values import resolve_values
from keras_wsseg.imaging.read_image import inspect_image
from keras_wsseg.imaging.suffixes import IMAGE_SUFFIXES, LABEL_SUFFIXES

_FOLDERS = "folders"


class TagFolder(ConstantLabelImages):
    """Images with tags: which classes each of them contains. No pixel is labeled.

    For learning masks from tags alone. Tags come from a file, from the images' folders, or, to evaluate
    learning from tags where masks are known, from label maps:

    ```
    root/                       root/                       root/
        images/  a.jpg b.jpg        cat/  a.jpg  b.jpg          images/  a.jpg b.jpg ...
        tags.csv                    dog/  b.jpg  c.jpg          labels/  a.png b.png ...
                                    background/  d.jpg
    TagFolder(root)             TagFolder(root, "folders")  TagFolder(root, "labels")
    ```

    `classes.txt`, one class name per line, and lists such as `train.txt` are optional. Files of the same name
    in several class folders are one image with several tags, and must have the same content.

    Args:
        root: the folder.
        tags: name of a file in `root` ending in `.csv`, in the format of `annotations.read_tags`, whose names
            may include the extension of their image; `"folders"` for a folder of images for each class; or
            the sub-folder of label maps.
        split: use the names in `root/<split>.txt`.
        names: use these names: a sequence, or the path of a list. Without `split` and `names`: all images
            that have tags, sorted.
        class_names: names of all classes, the background first; by default the lines of `classes.txt`, else
            "background" and those of the file or folders, else the ids as numbers. For folders, a first name
            "background" may be omitted, and folders that are not listed are ignored.
        min_pixels: minimum extent of a class in a label map, as in `annotations.tags_of_labels`.
        negatives: for folders, the sub-folders or absolute paths of images of none of the classes, one or a
            sequence; by default `"background"` if there is such a folder.
        color_mode: `"grayscale"` or `"rgb"` to convert to; by default gray if all images are, else rgb.
        value_range: lowest and highest value that an image may have; by default (0, 255) for 8 bits and
            (0, 65535) for 16, required for floating point.
        values: for label maps, the meaning of their values where these are not ids, see `SegmentationFolder`.

    Attributes:
        tags: float32 `(len, num_classes)`: 1 where the image has the tag, else 0; column 0, the background,
            is always 1.

    `load` returns labels of 255; if tags come from label maps, 254 is kept.

    Raises:
        FileNotFoundError: a folder, file or list is missing, or a name has no image or no tags.
        ValueError: an argument is out of range or without effect here, a file is unreadable, a tag or id is
            not a class, no image has a tag other than the background, or files of the same name differ.
            Errors name the file.

    Example:

    >>> import os, tempfile
    >>> from PIL import Image
    >>> root = tempfile.mkdtemp()
    >>> for name in ("cat/a", "cat/b", "dog/b", "background/c"):
    ...     path = os.path.join(root, name)
    ...     os.makedirs(os.path.dirname(path), exist_ok=True)
    ...     Image.fromarray(np.eye(8, dtype=np.uint8)).save(path + ".png")
    >>> folder = TagFolder(root, "folders")
    >>> folder.class_names, folder.names, folder.tags.tolist()
    (('background', 'cat', 'dog'), ('a', 'b', 'c'), [[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    >>> _, known = next(iter(folder.train(3, 8, mode="resize", shuffle=False)))
    >>> known["tags"].numpy().sum(axis=1).tolist(), known["labels"].shape
    ([2.0, 3.0, 1.0], TensorShape([3, 8, 8]))
    """

    def __init__(
        self,
        root,
        tags="tags.csv",
        split=None,
        names=None,
        class_names=None,
        min_pixels=1,
        negatives=None,
        color_mode=None,
        value_range=None,
        values=None,
    ):
        value_range = check_format(color_mode, value_range)
        kind = "a file" if str(tags).lower().endswith(".csv") else "folders" if tags == _FOLDERS else "maps"
        if check_min_pixels(min_pixels) != 1 and kind != "maps":
            raise ValueError(
                "`min_pixels` has an effect on label maps only. "
                f"Received: min_pixels={min_pixels!r}, tags={tags!r}"
            )
        if negatives is not None and kind != "folders":
            raise ValueError(
                "`negatives` has an effect on folders of classes only. "
                f"Received: negatives={negatives!r}, tags={tags!r}"
            )
        if values is not None and kind != "maps":
            raise ValueError(
                f"`values` has an effect on label maps only. Received: values={values!r}, tags={tags!r}"
            )
        root = pathlib.Path(root)
        if class_names is None and (root / "classes.txt").is_file():
            class_names = read_lines(root / "classes.txt")
        if class_names is not None:
            class_names = check_class_names(class_names)
        if kind == "maps":
            ids, class_names = resolve_values(values, class_names)
            found = _of_label_maps(
                root, tags, split, names, class_names, min_pixels, color_mode, value_range, ids
            )
        elif kind == "folders":
            found = _of_folders(root, split, names, class_names, negatives, color_mode, value_range)
        else:
            found = _of_file(root, tags, split, names, class_names, color_mode, value_range)
        names, files, rows, class_names, image_format = found
        super().__init__(
            class_names=class_names,
            image_format=image_format,
            names=names,
            files=files,
            value=UNLABELED,
            read_labels=LabelReader(ids).read if kind == "maps" else None,
        )
        self.tags = np.stack(rows)
        if not self.tags[:, 1:].any():
            raise ValueError(
                f"At least one image of {str(root)!r} must have a tag other than the background. "
                f"Received: none among {len(self)} images"
            )


def _of_file(root, tags, split, names, class_names, color_mode, value_range):
    """Names, files, multi-hot tags, names of the classes and format of images tagged in a CSV file."""
    images = files_by_stem(root, "images", IMAGE_SUFFIXES)
    names, origin = listed_names(root, split, names, images)
    path = root / tags
    named = class_names is not None
    tags, class_names = read_tags(path, class_names)
    if not named:
        _check_first(path, tags, images)
    known = {}
    for name, of_image in tags.items():
        stem = without_image_suffix(name)
        if stem in known:
            raise ValueError(f"The tags {str(path)!r} must name each image once. Received: {stem!r} twice")
        known[stem] = of_image
    if names is None:
        names, origin = tuple(sorted(known)), f"the tags {str(path)!r}"
    require_files(names, origin, root / "images", images)
    for name in names:
        if name not in known:
            raise FileNotFoundError(
                f"Every name of {origin} must have a line in the tags {str(path)!r}. "
                f"Received: {name!r}, which has none"
            )
    image_format = inspect_copies({name: [images[name]] for name in names}, color_mode, value_range)
    rows = [multi_hot(known[name], class_names) for name in names]
    return names, [(images[name], None) for name in names], rows, class_names, image_format


def _check_first(path, tags, images):
    """Raises `ValueError` if the first line is a header that `read_tags` does not recognize."""
    (first, of_first), *others = tags.items()
    elsewhere = {tag for _, of_image in others for tag in of_image}
    unknown = without_image_suffix(first) not in images and not elsewhere & {*of_first}
    if others and of_first and unknown and not has_header(path):
        raise ValueError(
            f"The tags {str(path)!r} must begin with an image, or with a header whose first word is name. "
            f"Received: {first!r}, which is not an image"
        )


def _of_folders(root, split, names, class_names, negatives, color_mode, value_range):
    """The same for images in a folder for each class."""
    if not root.is_dir():
        raise FileNotFoundError(f"`root` must be a folder. Received: root={str(root)!r}")
    if negatives is None:
        negatives = (BACKGROUND,) if (root / BACKGROUND).is_dir() else ()
    negatives = folder_list("negatives", negatives)
    if class_names is None:
        apart = {path_on_disk(root / folder).resolve() for folder in (*negatives, BACKGROUND)}
        class_names = sorted(
            normal_name(path.name)
            for path in root.iterdir()
            if path.is_dir() and path.resolve() not in apart and not is_hidden(path.name)
        )
    objects = tuple(class_names[1:] if class_names[:1] == (BACKGROUND,) else class_names)
    if not objects:
        raise FileNotFoundError(f"{str(root)!r} must hold a folder for each class. Received: none")
    members = {name: files_of_folders(root, (name,)) for name in objects}
    known = merge_files([*members.values(), files_of_folders(root, negatives)])
    names, origin = listed_names(root, split, names, known)
    if names is None:
        names = tuple(known)
    require_files(names, origin, ", ".join(str(root / name) for name in (*objects, *negatives)), known)
    image_format = inspect_copies({name: known[name] for name in names}, color_mode, value_range)
    class_names = (BACKGROUND, *objects)
    rows = [multi_hot([one for one in objects if name in members[one]], class_names) for name in names]
    return names, [(known[name][0], None) for name in names], rows, class_names, image_format


def _of_label_maps(root, folder, split, names, class_names, min_pixels, color_mode, value_range, ids):
    """The same for images with label maps, of which `load` keeps only 254."""
    images = files_by_stem(root, "images", IMAGE_SUFFIXES)
    maps = files_by_stem(root, folder, LABEL_SUFFIXES)
    names = select_names(root, split, names, images, maps, folder)
    files = [(images[name], maps[name]) for name in names]

    reader = LabelReader(ids)

    def check(pair):
        info_of_image = inspect_image(pair[0], value_range)
        info = reader.inspect(pair[1], info_of_image.size)
        return info_of_image, info, tags_of_labels(reader.read(pair[1]), PADDING, min_pixels)

    image_infos, infos, rows = zip(*inspect_files(check, files), strict=True)
    paths = [path for _, path in files]
    check_depths(paths, infos)
    if ids is None:
        check_values_are_ids(repr(str(root / folder)), infos, class_names)
    largest = max(int(np.flatnonzero(info.counts[:PADDING]).max(initial=0)) for info in infos)
    num_classes, class_names = resolve_classes(None, class_names, largest)
    check_ids(paths, infos, num_classes)
    image_format = common_format([image for image, _ in files], image_infos, color_mode, value_range)
    return names, files, [row[:num_classes] for row in rows], class_names, image_format
