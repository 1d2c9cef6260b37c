import dataclasses

import pytest

from keras_wsseg.cli.options import parse_value
from keras_wsseg.training.config import TrainingConfig

FIELDS = {field.name: field for field in dataclasses.fields(TrainingConfig)}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("steps", "30", 30),
        ("crf_weight", "1e-2", 0.01),
        ("method", "pce", "pce"),
        ("val_split", "none", None),
        ("val_split", "test", "test"),
        ("class_weights", "none", "none"),
        ("filters", "4,8", (4, 8)),
        ("stuff_classes", "", ()),
        ("value_range", "-1,1.5", (-1.0, 1.5)),
        ("value_range", "none", ()),
        ("label_values", "none", ()),
        ("gate_source", "no", False),
        ("gate_source", "True", True),
    ],
)
def test_values_take_the_type_of_their_field(name, text, value):
    assert parse_value(FIELDS[name], text) == value


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("batch_size", "many", "--batch-size must be an integer. Received: 'many'"),
        ("sigma_rgb", "wide", "--sigma-rgb must be a number. Received: 'wide'"),
        ("filters", "4,x", "--filters must be an integer. Received: 'x'"),
        ("gate_source", "perhaps", "--gate-source must be true or false. Received: 'perhaps'"),
    ],
)
def test_wrong_values_are_told(name, text, message):
    with pytest.raises(ValueError) as raised:
        parse_value(FIELDS[name], text)
    assert str(raised.value) == message


def test_lists_inside_a_sweep_have_another_separator():
    assert parse_value(FIELDS["filters"], "8/16", "/") == (8, 16)
