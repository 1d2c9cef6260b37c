import os

import numpy as np
import pytest

from keras_wsseg.annotations import multi_hot, read_tags, tags_of_labels, write_tags
from keras_wsseg.annotations.tags import has_header

CLASSES = ("background", "person", "dog", "traffic light")


@pytest.fixture
def file(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "tags.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


@pytest.mark.parametrize(
    "text",
    [
        "a,dog;person\nb\nc,traffic light\n",
        "name,tags\na,dog,person\nb,\nc,traffic light\n",
        'Image,Tag\na, "dog; person"\nb,background\nc,"traffic light"',
        "name\na,dog,dog;person\n\nb,,\nc,,traffic light\n",
        "\ufefffile,tags,,\r\na,dog,person,\r\nb,,,\r\nc,traffic light,,\r\n",
        "filename,tag,tag\n  a , person , dog\nb\nc,traffic light;background",
        "name,dog,person,traffic light\na,1,1,0\nb,0,0,0\nc,0,0,1",
        ",dog,person,background,traffic light\na,1.0,1.0,0.0,0.0\nb,0,0,1,0\nc,0,0,0,1\n",
        "picture,person,traffic light,dog\na,True,False,True\nb,false,false,false\nc,0,1,0\n",
    ],
)
def test_all_forms_say_the_same(file, text):
    path = file(text)
    tags, names = read_tags(path, CLASSES)
    assert tags == {"a": ("person", "dog"), "b": (), "c": ("traffic light",)}
    assert list(tags) == ["a", "b", "c"] and names == CLASSES
    found, own = read_tags(path)
    assert {name: sorted(one) for name, one in found.items()} == {
        name: sorted(one) for name, one in tags.items()
    }
    assert own[0] == "background" and sorted(own) == sorted(CLASSES)


def test_order_of_the_classes(file):
    assert read_tags(file("a,dog\nb,cat;ant"))[1] == ("background", "ant", "cat", "dog")
    assert read_tags(file("name,dog,background,cat\na,0,0,1"))[1] == ("background", "dog", "cat")
    assert read_tags(file("name,dog,background,cat\na,1,0,1"))[0] == {"a": ("dog", "cat")}


def test_blanks_separate_only_words_that_are_classes_and_not_one_together(file):
    path = file("a,dog person\nb,traffic light\nc,dog;traffic light")
    assert read_tags(path, CLASSES)[0] == {
        "a": ("person", "dog"),
        "b": ("traffic light",),
        "c": ("dog", "traffic light"),
    }
    assert read_tags(path)[1] == ("background", "dog", "dog person", "traffic light")
    with pytest.raises(ValueError, match=r"Received: 'traffic dog' in line 1"):
        read_tags(file("a,traffic dog"), CLASSES)


def test_classes_named_by_numbers_are_tags_of_a_list(file):
    assert read_tags(file("a,1\nb,1,2\nc")) == (
        {"a": ("1",), "b": ("1", "2"), "c": ()},
        ("background", "1", "2"),
    )


def test_a_background_of_another_name_is_in_every_image_or_not_told(file):
    for text in (
        "a,dog\nb,background",
        "a,dog;sky\nb,sky",
        "name,dog,sky\na,1,1\nb,0,1",
        "name,dog\na,1\nb,0",
    ):
        assert read_tags(file(text), ("sky", "dog")) == ({"a": ("dog",), "b": ()}, ("sky", "dog"))
    for text in ("a,dog;sky\nb,dog", "name,sky,dog\na,1,1\nb,0,1"):
        with pytest.raises(
            ValueError,
            match=r"of '.*tags.csv' must be the background, .* 'sky' first, a tag that is not in line [23]",
        ):
            read_tags(file(text), ("sky", "dog"))


@pytest.mark.parametrize(
    ("text", "text_of_error"),
    [
        ("", r"tags.csv' must have a line for each image. Received: an empty file"),
        ("name,tags\n", "Received: a header alone"),
        ("name,dog\n", "Received: a header alone"),
        ("a,dog\n\na,person", r"must name each image once. Received: 'a' again in line 3"),
        ("name,tags\n,dog", r"must name each image once. Received: '' in line 2"),
        (
            "a,dog\nb,cat",
            r"among the classes background, person, dog, traffic light. Received: 'cat' in line 2",
        ),
        ("name,dog,cat\na,1,0", r"among the classes .* Received: 'cat' in line 1"),
        (
            "name,dog,dog\na,1,0",
            r"header of the table '.*tags.csv' must name every class once. .* 'dog' in line 1",
        ),
        ("name,dog,,person\na,1,0,1", r"must name every class once. Received: '' in line 1"),
        ("name,dog,person\na,1,0\nb,1", r"for each of the 2 classes. Received: 1 values in line 3"),
        ("name,dog,person\na,1,2", r"must be 0 or 1. Received: '2' in line 2"),
        ("name,dog,person\na,1,", r"must be 0 or 1. Received: '' in line 2"),
        (
            "bild,dog,person\na,1,0\nb,0,0",
            r"must begin with 'name' and, .* Received: 'bild,dog,person' in line 1",
        ),
        (
            "a;dog;person\n",
            r"must have a comma after the name of the image. Received: 'a;dog;person' in line 1",
        ),
        ("a,dog\nb\tdog", r"must have a comma .* in line 2"),
        ('a,dog\nb,"dog', r"must be a CSV file. Received: unexpected end of data in line 2"),
    ],
)
def test_wrong_files_are_told(file, text, text_of_error):
    with pytest.raises(ValueError, match=text_of_error):
        read_tags(file(text), CLASSES)


def test_what_is_no_text_is_told(file, tmp_path):
    with pytest.raises(ValueError, match=r"tags.csv' must be text in UTF-8, .* Received: 'utf-8' codec"):
        read_tags(file("a,Bär", "latin-1"))
    with pytest.raises(FileNotFoundError, match=r"must be an existing file. Received: '.*none.csv'"):
        read_tags(tmp_path / "none.csv")


@pytest.mark.parametrize("names", [(), ("a", "a"), ("a", "")])
def test_names_of_classes_are_checked(file, names):
    with pytest.raises(ValueError, match="`class_names` must be distinct names. Received: class_names="):
        read_tags(file("a"), names)
    with pytest.raises(ValueError, match="`class_names` must be distinct names"):
        multi_hot((), names)


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "tags.csv"
    tags = {"a b": ("dog", "traffic light"), "c, d": (), 'say "e"': ["person"], "Übung": ("dog",)}
    write_tags(path, tags)
    found, _ = read_tags(path, ("background", "dog", "traffic light", "person"))
    assert found == {name: tuple(one) for name, one in tags.items()}
    write_tags(path, {"z": ("dog",)})
    assert read_tags(path)[0] == {"z": ("dog",)} and os.listdir(tmp_path) == ["tags.csv"]


@pytest.mark.parametrize(
    ("tags", "error", "text"),
    [
        ({"a": "dog"}, TypeError, "`tags` must be a sequence of strings. Received: tags='dog'"),
        ({"a": (1,)}, TypeError, r"Received: tags=\(1,\)"),
        ({"a": ("dog;cat",)}, ValueError, "have surrounding blanks, or a semicolon, .* 'dog;cat' of 'a'"),
        ({"a": ("",)}, ValueError, "must not be empty, .* Received: '' of 'a'"),
        ({"a": (" dog",)}, ValueError, "Received: ' dog' of 'a'"),
        ({"a ": ("dog",)}, ValueError, "a string without surrounding blanks, .* Received: 'a '"),
        ({"": ("dog",)}, ValueError, "Received: ''"),
        ({3: ("dog",)}, ValueError, "Received: 3"),
        ({"a;b": ()}, ValueError, "semicolon, tab, carriage return or zero byte. Received: 'a;b'"),
        ({"a\u037eb": ()}, ValueError, "Received: 'a\u037eb'"),
        ({"a\tb": ()}, ValueError, r"Received: 'a\\tb'"),
        ({"a": ("b\rc",)}, ValueError, r"Received: 'b\\rc' of 'a'"),
        ({"a": ("b\0",)}, ValueError, r"Received: 'b\\x00' of 'a'"),
        ({"\u00e4": (), "a\u0308": ()}, ValueError, "must name each image once. Received: '\u00e4' twice"),
    ],
)
def test_nothing_is_written_of_wrong_tags(tmp_path, tags, error, text):
    path = tmp_path / "tags.csv"
    path.write_text("before")
    with pytest.raises(error, match=text):
        write_tags(path, {"fine": ("dog",), **tags})
    assert path.read_text() == "before" and os.listdir(tmp_path) == ["tags.csv"]


def test_a_list_of_no_image_is_not_written(tmp_path):
    with pytest.raises(ValueError, match=r"`tags` must have at least one image. Received: tags=\{\}"):
        write_tags(tmp_path / "tags.csv", {})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("of_first", [("0",), ("0", "1"), ()])
def test_tags_that_are_numbers_are_read_back_as_no_table(tmp_path, of_first):
    path, tags = tmp_path / "tags.csv", {"a": of_first, "b": ("1",), "c": ()}
    write_tags(path, tags)
    assert read_tags(path)[0] == tags
    assert read_tags(path, ("sky", "0", "1"))[0] == tags


def test_a_failed_write_leaves_nothing(tmp_path):
    (tmp_path / "tags.csv").mkdir()
    with pytest.raises(ValueError, match="must be a file. .* which is a folder"):
        write_tags(tmp_path / "tags.csv", {"a": ()})
    assert os.listdir(tmp_path) == ["tags.csv"]


def test_multi_hot():
    vector = multi_hot(["dog", "dog"], CLASSES)
    assert vector.dtype == np.float32 and vector.tolist() == [1, 0, 1, 0]
    assert multi_hot((), CLASSES).tolist() == [1, 0, 0, 0]
    assert multi_hot(("background",), CLASSES).tolist() == [1, 0, 0, 0]
    with pytest.raises(ValueError, match=r"the classes background, .* Received: tags=\('cat',\)"):
        multi_hot(("cat",), CLASSES)
    with pytest.raises(TypeError, match="`tags` must be a sequence of strings. Received: tags='dog'"):
        multi_hot("dog", CLASSES)


def test_tags_of_a_label_map():
    labels = np.full((4, 5), 255)
    labels[0, :3], labels[1, 0], labels[2:] = 2, 4, 254
    found = tags_of_labels(labels, 5)
    assert found.dtype == np.float32 and found.tolist() == [1, 0, 1, 0, 1]
    assert tags_of_labels(labels, 5, min_pixels=3).tolist() == [1, 0, 1, 0, 0]
    assert tags_of_labels(labels, 5, min_pixels=4).tolist() == [1, 0, 0, 0, 0]
    # Three of the ten pixels that lie in the image.
    assert tags_of_labels(labels, 5, min_pixels=0.3).tolist() == [1, 0, 1, 0, 0]
    assert tags_of_labels(labels, 5, min_pixels=0.31).tolist() == [1, 0, 0, 0, 0]
    assert tags_of_labels(labels, 5, min_pixels=1e-9).tolist() == [1, 0, 1, 0, 1]
    assert tags_of_labels(np.full((2, 2), 254), 2, min_pixels=0.5).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("labels", "arguments", "text"),
    [
        ([[0, 3]], {}, "class ids 0 to 2, 254 or 255. Received: class id 3"),
        ([0], {}, r"`labels` must have shape \(height, width\)"),
        (
            [[0]],
            {"num_classes": 0},
            "`num_classes` must be an integer of at least 1. Received: num_classes=0",
        ),
        (
            [[0]],
            {"min_pixels": 0},
            "`min_pixels` must be a number ",
        ),
        ([[0]], {"min_pixels": 1.5}, "Received: min_pixels=1.5"),
        ([[0]], {"min_pixels": True}, "Received: min_pixels=True"),
        ([[0]], {"min_pixels": "1"}, "Received: min_pixels='1'"),
    ],
)
def test_arguments_of_derived_tags_are_checked(labels, arguments, text):
    with pytest.raises(ValueError, match=text):
        tags_of_labels(labels, **{"num_classes": 3, **arguments})


@pytest.mark.parametrize(
    "header", ("id,tags", "image,label", "filename,classes", "picture,Labels", "File name,Class name")
)
def test_usual_headers_of_lists_are_no_images(tmp_path, header):
    path = tmp_path / "tags.csv"
    path.write_text(f"{header}\na,cat\nb,dog;cat\n")
    assert read_tags(path) == ({"a": ("cat",), "b": ("cat", "dog")}, ("background", "cat", "dog"))


@pytest.mark.parametrize(
    "cell", ["dog;person", '"dog,person"', "dog|person", '"dog, person"', "dog | person"]
)
def test_several_tags_in_a_cell_are_several_classes(tmp_path, cell):
    path = tmp_path / "tags.csv"
    path.write_text(f"name,tags\na,{cell}\n")
    assert read_tags(path) == ({"a": ("dog", "person")}, ("background", "dog", "person"))


def test_a_class_may_have_a_comma_or_bar_in_its_name(tmp_path):
    path = tmp_path / "tags.csv"
    path.write_text('name,tags\na,"light, red;dog|cat"\n')
    names = ("background", "light, red", "dog|cat")
    assert read_tags(path, names)[0]["a"] == names[1:]
    path.write_text(
        'name,tags\na,"cat, bed, king"\nb,"bed, king|cat"\nc,"bed, king, size, cat"\nd,"cat;cat,"\n'
    )
    names = ("background", "bed, king", "cat", "bed, king, size")
    assert read_tags(path, names)[0] == {"a": names[1:3], "b": names[1:3], "c": names[2:], "d": ("cat",)}
    path.write_text('name,tags\na,"light, red"\n')
    with pytest.raises(ValueError, match=r"among the classes .* Received: 'light' in line 2"):
        read_tags(path, ("background", "dog"))


@pytest.mark.parametrize(
    "title", ["Image_ID", "img", "file_name", "Image", "path", "File Name", "filename_id", "#"]
)
def test_headers_of_other_words(tmp_path, title):
    path = tmp_path / "tags.csv"
    path.write_text(f"{title},dog,cat\na,1,0\n")
    assert read_tags(path) == ({"a": ("dog",)}, ("background", "dog", "cat"))


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_spreadsheets_of_other_countries(tmp_path, delimiter):
    path = tmp_path / "tags.csv"
    path.write_text("name,tags\na,dog|cat\nb,\n".replace(",", delimiter))
    assert read_tags(path) == ({"a": ("cat", "dog"), "b": ()}, ("background", "cat", "dog"))
    path.write_text("image,dog,cat\na,1,0\n".replace(",", delimiter))
    assert read_tags(path) == ({"a": ("dog",)}, ("background", "dog", "cat"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_encodings_that_a_mark_tells(tmp_path, encoding):
    path = tmp_path / "tags.csv"
    path.write_text("name,tags\nA\u0308pfel,Ba\u0308r\n", encoding=encoding)
    assert read_tags(path) == ({"\u00c4pfel": ("B\u00e4r",)}, ("background", "B\u00e4r"))
    path.write_bytes("name,tags\na,dog\n".encode("utf-16-le"))
    with pytest.raises(ValueError, match=r"tags.csv' must be text in UTF-8, or in UTF-16 with .* zero bytes"):
        read_tags(path)


@pytest.mark.parametrize(
    "text",
    [
        "Dateiname,Tags\na,dog\n",
        "Bild,class,class\na,dog,cat\n",
        "Bild,dog,cat\na,1,0\nb,1\n",
        "a,1,0\nb,0,1\n",
        "a,1\nb,0\n",
        "a,1,0\n",
        "a,true\nb\n",
        "name,label\na,1\nb,0\n",
    ],
)
def test_what_may_be_a_header_or_a_table_is_refused(file, text):
    with pytest.raises(
        ValueError, match=r"tags.csv' must begin with 'name' and, where tags are 0 or 1, give"
    ):
        read_tags(file(text))


def test_names_of_classes_decide_what_is_a_tag(file):
    names = ("background", "1", "tags")
    assert read_tags(file("a,1\nb,1\n"), names)[0] == {"a": ("1",), "b": ("1",)}
    assert read_tags(file("name,label\na,1\nb,\n"), names)[0] == {"a": ("1",), "b": ()}
    assert read_tags(file("a,tags\nb,1\n"), names)[0] == {"a": ("tags",), "b": ("1",)}


@pytest.mark.parametrize(
    ("text", "known"), [("name,tags\na,dog", True), (",dog\na,1", True), ("a,dog", False)]
)
def test_a_header_is_told(file, text, known):
    assert has_header(file(text)) is known
