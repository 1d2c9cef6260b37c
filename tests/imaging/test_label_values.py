import pytest

from keras_wsseg.imaging.label_values import parse_values, resolve_values


def test_names_come_from_the_values_or_the_classes():
    values = {255: "cell", 0: "background", 7: "unlabeled", 9: "padding"}
    ids, names = resolve_values(values, None)
    assert (ids, names) == ({255: 0, 0: 1, 7: 255, 9: 254}, ("cell", "background"))
    ids, names = resolve_values(values, ("background", "other", "cell"))
    assert (ids, names) == ({255: 2, 0: 0, 7: 255, 9: 254}, ("background", "other", "cell"))
    assert resolve_values({0: "0", 255: "1"}, ("background", "cell"))[0] == {0: 0, 255: 1}
    assert resolve_values(None, ("a",)) == (None, ("a",))


@pytest.mark.parametrize(
    ("values", "error", "text"),
    [
        ([0, 255], TypeError, r"`values` must be a dict .* Received: values=\[0, 255\]"),
        ({0: 1}, TypeError, "must be a dict from values to names"),
        ({-1: "a"}, ValueError, "`keys of values` must be .* at least 0. Received: keys of values=-1"),
        ({"0": "a"}, ValueError, "`keys of values` must be .* Received: keys of values='0'"),
        ({True: "a"}, ValueError, "`keys of values` must be .* Received: keys of values=True"),
    ],
)
def test_other_things_are_refused(values, error, text):
    with pytest.raises(error, match=text):
        resolve_values(values, None)


def test_numbers_are_those_of_the_classes():
    assert resolve_values({255: "1", 0: "0"}, None) == ({255: 1, 0: 0}, ("0", "1"))
    assert resolve_values({0: "0", 255: "2"}, None, 4) == ({0: 0, 255: 2}, ("0", "1", "2", "3"))
    assert resolve_values({0: "sky", 255: "1"}, None) == ({0: 0, 255: 1}, ("sky", "1"))
    for values in ({0: "0", 255: "2"}, {0: "1", 255: "2"}, {0: "sky", 1: "2", 2: "tree"}):
        with pytest.raises(ValueError, match=r"must be the index of its class, .* Received: values={0: "):
            resolve_values(values, None)
    with pytest.raises(ValueError, match=r"`values` must name classes, 0, 1, .* Received: '2'"):
        resolve_values({0: "0", 255: "2"}, None, 2)
    with pytest.raises(ValueError, match=r"classes that `values` names, 2, .* Received: num_classes=3"):
        resolve_values({0: "sky", 255: "tree"}, None, 3)


@pytest.mark.parametrize("name", ["padding", "unlabeled"])
def test_no_class_is_called_what_is_no_class(name):
    with pytest.raises(ValueError, match=f"`class_names` must not have .* Received: '{name}'"):
        resolve_values({0: "background", 255: name}, ("background", name))
    assert resolve_values(None, ("background", name)) == (None, ("background", name))


def test_what_is_typed():
    assert parse_values(()) is None
    assert parse_values(("0=back ground", " 255 = cell ")) == {0: "back ground", 255: "cell"}


@pytest.mark.parametrize("texts", [("0",), ("a=b",), ("=b",), ("0=",), ("0=a", "0=b"), ("-1=a",), ("1.5=a",)])
def test_what_is_mistyped(texts):
    with pytest.raises(ValueError, match="values must be of the form 0=background,255=cell, each value once"):
        parse_values(texts)
