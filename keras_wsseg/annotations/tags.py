"""Tags of whole images: which classes occur, but not where."""

import csv
import io
import pathlib
import re

import numpy as np

from keras_wsseg.arguments import check_integer, check_number
from keras_wsseg.imaging.atomic_write import atomic_write
from keras_wsseg.imaging.file_names import normal_name
from keras_wsseg.imaging.label_map import check_label_map
from keras_wsseg.imaging.labels import PADDING
from keras_wsseg.imaging.text_file import read_text

BACKGROUND = "background"

# Every image has a name, so an empty first cell, as in tables with an index, is also a title.
_NAME_TITLE = re.compile(
    r"((file|filename|image|img|picture|pic|photo|sample)s?)?(id|name|path|filepath|file|filename|stem|key|index)?"
)
_TAG_TITLE = re.compile(r"((tag|label|class|category|keyword)(s|es|name|names)?|categories)?")
# Between the tags of one cell.
_SEPARATORS = (";", "|", ",")
_SEPARATOR = re.compile("([;|,])")
_VALUES = {"0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}


def read_tags(path, class_names=None):
    """Reads which classes each image contains from a CSV file.

    Tagging takes seconds per image, and many collections already have tags. Two formats are supported. A list
    has one line per image, beginning with its name; the tags follow in separate cells or in one cell,
    separated by semicolons, bars or commas; an image without tags contains only background:

    ```
    name,tags
    scene1,dog;person
    scene2,dog,person
    scene3,"dog, person"
    scene4
    ```

    A table has a column of 0 and 1 for each class:

    ```
    name,dog,person
    scene1,1,1
    scene2,0,0
    ```

    The header of a list may be omitted, but not that of a table. A header is a first line that begins with
    `name`, `id`, `image`, `picture`, `File name`, a similar word or an empty cell. A list whose tags are all
    0 or 1 is rejected unless `class_names` contains these: it may be a table. A tag may contain spaces; these
    separate tags only if `class_names` contains the words of a tag but not the tag, as in `dog person`; a
    comma or bar is part of a tag if `class_names` contains the tag, the longest that matches.

    Args:
        path: the file, in UTF-8 or the encoding of its byte order mark, with cells separated by commas, or,
            if it has a header, by semicolons or tabs, as some spreadsheets write them.
        class_names: names of all classes in the order of their ids, the background first. By default
            "background" and the tags found, sorted for a list, in its order for a table.

    Returns:
        `(tags, class_names)`: a dict from the name of each image, as in the file, to the tuple of its tags in
            the order of the classes, without the background, which every image has; and the names of
        all classes as a tuple, the background first.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not such a file, names an image twice or a tag that is not a class, or the first of
            `class_names` is not "background" but the tag of some images only. Errors name the line.

    Example:

    >>> import tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "tags.csv")
    >>> write_tags(path, {"a": ("person", "dog"), "b": ()})
    >>> read_tags(path)
    ({'a': ('dog', 'person'), 'b': ()}, ('background', 'dog', 'person'))
    >>> read_tags(path, ("background", "person", "dog"))[0]["a"]
    ('person', 'dog')
    """
    path = pathlib.Path(path)
    if class_names is not None:
        class_names = check_class_names(class_names)
    lines = _lines(path)
    head = lines[0][1]
    titles = head[1:] if _is_title(head[0], _NAME_TITLE) else None
    if titles is None or all(_is_title(title, _TAG_TITLE) for title in titles):
        _check_list(path, lines, titles is not None, class_names or ())
        found = _list_rows(path, lines if titles is None else lines[1:], class_names)
        used = sorted({tag for _, _, tags in found for tag in tags} - {BACKGROUND})
    else:
        found = _table_rows(path, lines, class_names)
        used = [title for title in titles if title != BACKGROUND]
    if not found:
        raise ValueError(f"The tags {str(path)!r} must have a line for each image. Received: a header alone")
    classes = (BACKGROUND, *used) if class_names is None else class_names
    return _by_name(path, found, classes), classes


def has_header(path):
    """Whether a file of tags, as in `read_tags`, begins with a header."""
    return _is_title(_lines(pathlib.Path(path))[0][1][0], _NAME_TITLE)


def write_tags(path, tags):
    """Writes which classes each image contains as a list for `read_tags`, atomically.

    Args:
        path: the CSV file to write; its folder must exist.
        tags: dict from the name of each image to a sequence of its tags.

    Raises:
        TypeError: the tags of an image are not a sequence of strings.
        ValueError: there is no image, or two of the same name in normalized form; a name or tag is empty,
            begins or ends with whitespace or contains a semicolon, carriage return or zero byte; a name
            contains a tab, or a tag a comma or bar.

    Example: see `read_tags`.
    """
    path, stream, written = pathlib.Path(path), io.StringIO(), {}
    for name, of_image in tags.items():
        name = _name_to_write(name)
        if name in written:
            raise ValueError(f"`tags` must name each image once. Received: {name!r} twice")
        written[name] = [_tag_to_write(tag, name) for tag in _sequence("tags", of_image)]
    if not written:
        raise ValueError(f"`tags` must have at least one image. Received: tags={tags!r}")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("name", "tags"))
    # A list of only 0 and 1 may be a table; the tag background, which every image has, marks it as a list.
    bare = all(tag.lower() in _VALUES for of_image in written.values() for tag in of_image)
    for name, of_image in written.items():
        writer.writerow((name, ";".join([BACKGROUND, *of_image] if bare and of_image else of_image)))
    with atomic_write(path) as draft:
        draft.write_text(stream.getvalue(), encoding="utf-8")


def multi_hot(tags, class_names):
    """The tags of an image as a vector of zeros and ones.

    Args:
        tags: sequence of names.
        class_names: names of all classes in the order of their ids, the background first.

    Returns:
        float32 `(classes,)`: 1 for the background and every tag, else 0.

    Raises:
        TypeError: an argument is not a sequence of strings.
        ValueError: a tag is not a class.

    Example:

    >>> multi_hot(("dog",), ("background", "cat", "dog")).tolist()
    [1.0, 0.0, 1.0]
    """
    class_names = check_class_names(class_names)
    vector = np.zeros(len(class_names), np.float32)
    vector[0] = 1
    for tag in map(normal_name, _sequence("tags", tags)):
        if tag not in class_names:
            raise ValueError(
                f"`tags` must be among the classes {', '.join(class_names)}. Received: tags={tags!r}"
            )
        vector[class_names.index(tag)] = 1
    return vector


def tags_of_labels(labels, num_classes, min_pixels=1):
    """The tags of a label map, to evaluate learning from tags where masks are known.

    Annotators overlook specks, and a model that must find a class somewhere predicts one: `min_pixels`
    excludes them.

    Args:
        labels: integer array `(height, width)` of class ids; 255 unlabeled, 254 outside the image.
        num_classes: number of classes, of which class 0 is the background.
        min_pixels: minimum extent of a class: pixels as an integer from 1, or above 0 and below 1 the
            fraction of all pixels except those of 254.

    Returns:
        float32 `(num_classes,)`: 1 for the classes that occur and for the background, which always does, else
        0.

    Raises:
        TypeError, ValueError: an argument is not as above, or an id is not a class.

    Example:

    >>> tags_of_labels([[0, 3, 1, 1], [254, 255, 1, 1]], num_classes=4, min_pixels=2).tolist()
    [1.0, 1.0, 0.0, 0.0]
    """
    min_pixels = check_min_pixels(min_pixels)
    labels = check_label_map(labels)
    check_integer("num_classes", num_classes, low=1)
    counts = np.bincount(labels.ravel(), minlength=256)
    wrong = np.flatnonzero(counts[num_classes:PADDING]) + num_classes
    if wrong.size:
        raise ValueError(
            f"`labels` must hold class ids 0 to {num_classes - 1}, 254 or 255. Received: class id {wrong[0]}"
        )
    if min_pixels < 1:
        min_pixels = max(1, min_pixels * (labels.size - counts[PADDING]))
    tags = (counts[:num_classes] >= min_pixels).astype(np.float32)
    tags[0] = 1
    return tags


def check_min_pixels(min_pixels):
    """Validates `min_pixels` of `tags_of_labels`: `ValueError` if it is neither pixels nor a fraction."""
    check_number("min_pixels", min_pixels, above=0)
    if min_pixels > 1 and min_pixels != int(min_pixels):
        raise ValueError(
            "`min_pixels` must be a number of pixels from 1, or a fraction above 0 and below 1. "
            f"Received: min_pixels={min_pixels!r}"
        )
    return min_pixels


def check_class_names(class_names):
    """Validates class names: distinct, non-empty strings; returns them normalized, as a tuple."""
    names = tuple(map(normal_name, _sequence("class_names", class_names)))
    if not names or "" in names or len(set(names)) < len(names):
        raise ValueError(f"`class_names` must be distinct names. Received: class_names={class_names!r}")
    return names


def _sequence(argument, values):
    if isinstance(values, str) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"`{argument}` must be a sequence of strings. Received: {argument}={values!r}")
    return tuple(values)


def _name_to_write(name):
    normal = normal_name(name) if isinstance(name, str) else ""
    if not normal or normal != normal.strip() or any(mark in normal for mark in ";\t\r\0"):
        raise ValueError(
            "The name of an image must be a string without surrounding blanks, semicolon, tab, "
            f"carriage return or zero byte. Received: {name!r}"
        )
    return normal


def _tag_to_write(tag, name):
    normal = normal_name(tag)
    if not normal or normal != normal.strip() or any(mark in normal for mark in (*_SEPARATORS, "\r", "\0")):
        raise ValueError(
            "A tag must not be empty, have surrounding blanks, or a semicolon, comma, bar, carriage return "
            f"or zero byte in it. Received: {tag!r} of {name!r}"
        )
    return normal


def _lines(path):
    """Number and cells of every non-empty line."""
    text = normal_name(read_text(path, "The tags"))
    reader = csv.reader(
        io.StringIO(text, newline=None), delimiter=_delimiter(text), skipinitialspace=True, strict=True
    )
    lines = []
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if any(cells):
                lines.append((reader.line_num, cells))
    except csv.Error as error:
        raise ValueError(
            f"The tags {str(path)!r} must be a CSV file. Received: {error} in line {reader.line_num}"
        ) from error
    if not lines:
        raise ValueError(f"The tags {str(path)!r} must have a line for each image. Received: an empty file")
    return lines


def _delimiter(text):
    """The delimiter after the title of the first column; a comma if there is none."""
    head = text.lstrip().split("\n", 1)[0]
    for delimiter in (",", ";", "\t"):
        title, found, _ = head.partition(delimiter)
        if found and title.strip().strip('"') and _is_title(title, _NAME_TITLE):
            return delimiter
    return ","


def _is_title(cell, titles):
    """Whether a cell is one of the titles, however its words are separated."""
    return titles.fullmatch(re.sub(r"[\W_]", "", cell.lower())) is not None


def _check_list(path, lines, headed, known):
    """Rejects an unrecognized header, which would silently add a class `Tags`, and a table, `0` and `1`."""
    (number, head), *others = lines
    titles = [] if headed else [cell for cell in head[1:] if cell and cell not in known]
    values = [cell for _, cells in others for cell in cells[1:] if cell]
    if all(cell.lower() in _VALUES for cell in titles):
        values += titles
    is_header = titles and all(_is_title(cell, _TAG_TITLE) for cell in titles)
    is_table = values and all(cell.lower() in _VALUES and cell not in known for cell in values)
    if is_header or is_table:
        raise ValueError(
            f"The header of {str(path)!r} must begin with 'name' and, where tags are 0 or 1, give each "
            f"column a class. Received: {','.join(head)!r} in line {number}"
        )


def _list_rows(path, lines, class_names):
    rows = []
    for number, (name, *cells) in lines:
        if ";" in name or "\t" in name:
            raise ValueError(
                f"The tags {str(path)!r} must have a comma after the name of the image. "
                f"Received: {name!r} in line {number}"
            )
        rows.append((number, name, [tag for cell in cells for tag in _split(cell, class_names)]))
    return rows


def _split(cell, class_names):
    known, pieces, start = class_names or (), _SEPARATOR.split(cell), 0
    while start < len(pieces):
        # A known tag may contain separators: the longest one that begins here is used.
        runs = ((end, "".join(pieces[start:end]).strip()) for end in range(len(pieces), start, -2))
        end, tag = next((run for run in runs if run[1] in known), (start + 1, pieces[start].strip()))
        words = tag.split()
        if known and tag not in known and all(word in known for word in words):
            yield from words
        elif tag:
            yield tag
        start = end + 1


def _table_rows(path, lines, class_names):
    (number, (_, *titles)), *lines = lines
    for title in titles:
        if not title or titles.count(title) > 1:
            raise ValueError(
                f"The header of the table {str(path)!r} must name every class once. "
                f"Received: {title!r} in line {number}"
            )
        _check_known(path, title, number, class_names)
    rows = []
    for number, (name, *cells) in lines:
        if len(cells) != len(titles):
            raise ValueError(
                f"Every line of the table {str(path)!r} must have a value for each of the {len(titles)} "
                f"classes. Received: {len(cells)} values in line {number}"
            )
        for cell in cells:
            if cell.lower() not in _VALUES:
                raise ValueError(
                    f"The values of the table {str(path)!r} must be 0 or 1. "
                    f"Received: {cell!r} in line {number}"
                )
        tags = [title for title, cell in zip(titles, cells, strict=True) if _VALUES[cell.lower()]]
        rows.append((number, name, tags))
    return rows


def _by_name(path, rows, classes):
    tags, own_background = {}, classes[0] != BACKGROUND and any(classes[0] in one for *_, one in rows)
    for number, name, of_image in rows:
        if not name or name in tags:
            raise ValueError(
                f"The tags {str(path)!r} must name each image once. Received: {name!r} "
                f"{'again ' if name else ''}in line {number}"
            )
        for tag in of_image:
            _check_known(path, tag, number, classes)
        # Otherwise an object listed first by mistake would be taken for the background.
        if own_background and classes[0] not in of_image:
            raise ValueError(
                f"The first of the classes of {str(path)!r} must be the background, which every image has. "
                f"Received: {classes[0]!r} first, a tag that is not in line {number}"
            )
        tags[name] = tuple(one for one in classes[1:] if one in of_image)
    return tags


def _check_known(path, tag, number, classes):
    # Every image has background, whatever its class name is.
    if classes is not None and tag not in (*classes, BACKGROUND):
        raise ValueError(
            f"The tags of {str(path)!r} must be among the classes {', '.join(classes)}. "
            f"Received: {tag!r} in line {number}"
        )
