"""Reads user-written text files."""

import codecs

from keras_wsseg.imaging.file_names import path_on_disk

_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_text(path, called):
    """The text of a file in UTF-8, or the encoding of its byte order mark, as spreadsheets and shells write
    it.

    Args:
        path: the file.
        called: its name in error messages, such as "The list".

    Returns:
        string.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not text.

    Example:

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "a.txt")
    >>> _ = path.write_text("one", encoding="utf-16")
    >>> read_text(path, "The list")
    'one'
    """
    path = path_on_disk(path)
    if not path.is_file():
        raise FileNotFoundError(f"{called} must be an existing file. Received: {str(path)!r}")
    data = path.read_bytes()
    # The mark of UTF-32 begins with that of UTF-16.
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8-sig")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{called} {str(path)!r} must be text in UTF-8, or in UTF-16 with its byte order mark. "
            f"Received: {error}"
        ) from error
    if "\0" in text:
        raise ValueError(
            f"{called} {str(path)!r} must be text in UTF-8, or in UTF-16 with its byte order mark. "
            "Received: zero bytes"
        )
    return text
