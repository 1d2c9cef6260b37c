import pytest

from keras_wsseg.imaging.text_file import read_text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_marks_tell_the_encoding(tmp_path, encoding):
    (tmp_path / "a.txt").write_text("Äpfel\nß\n", encoding=encoding)
    assert read_text(tmp_path / "a.txt", "The list") == "Äpfel\nß\n"


@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le", "latin-1"])
def test_other_encodings_are_refused(tmp_path, encoding):
    (tmp_path / "a.txt").write_bytes("Äpfel".encode(encoding))
    with pytest.raises(ValueError, match=r"The list '.*a.txt' must be text in UTF-8, or in UTF-16 with its"):
        read_text(tmp_path / "a.txt", "The list")


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"The list must be an existing file. Received: '.*a.txt'"):
        read_text(tmp_path / "a.txt", "The list")
