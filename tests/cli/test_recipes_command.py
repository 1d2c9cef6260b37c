import tomllib

import pytest

from keras_wsseg.cli.main import main
from keras_wsseg.training.recipes import recipe_names, recipe_text


def test_recipes_are_listed_with_what_they_are_for(capsys):
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(recipe_names())
    assert "scribbles     Scribbles: cross entropy on the drawn pixels and a gated CRF loss" in lines[3]


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_is_printed_as_it_is_read(capsys, name):
    assert main(["recipes", name]) == 0
    said = capsys.readouterr().out
    assert said == recipe_text(name) and tomllib.loads(said)["data"]
