import pytest

from keras_wsseg.imaging.label_values import parse_values, resolve_values


def test_names_come_from_the_values_or_the_classes():
    values = {255: "cell", 0: "background", 7: "unlabelled", 9: "outside"}
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
        ({-1: "a"}, ValueError, "`values` must be an integer of at least 0. Received: values=-1"),
        ({"0": "a"}, ValueError, "`values` must be an integer .* Received: values='0'"),
        ({True: "a"}, ValueError, "`values` must be an integer .* Received: values=True"),
    ],
)
def test_other_things_are_refused(values, error, text):
    with pytest.raises(error, match=text):
        resolve_values(values, None)


def test_what_is_typed():
    assert parse_values(()) is None
    assert parse_values(("0=back ground", " 255 = cell ")) == {0: "back ground", 255: "cell"}


@pytest.mark.parametrize("texts", [("0",), ("a=b",), ("=b",), ("0=",), ("0=a", "0=b"), ("-1=a",), ("1.5=a",)])
def test_what_is_mistyped(texts):
    with pytest.raises(ValueError, match="values must be of the form 0=background,255=cell, each value once"):
        parse_values(texts)
