"""Recipes: short files that say what a training is made of, which options then change."""

import json
import pathlib
import tomllib

from keras_wsseg.imaging.text_file import read_text

_FOLDER = pathlib.Path(__file__).parent / "recipe_files"


def recipe_names():
    """The recipes that come with the package.

    Example:

    >>> recipe_names()
    ('clicks', 'full', 'rrm', 'scribbles', 'single-class', 'tags')
    """
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def recipe_text(name):
    """What stands in a recipe.

    Args:
        name: one of `recipe_names`, or the path of a file of one's own: `.toml`, or `.json` such as the
            `config.json` of a run folder.

    Raises:
        ValueError: if there is none of that name.
        FileNotFoundError: if there is no such file.
    """
    if name in recipe_names():
        return (_FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    if pathlib.Path(name).suffix not in (".toml", ".json"):
        raise ValueError(
            f"recipe must be one of {', '.join(recipe_names())}, or a .toml or .json file. "
            f"Received: recipe={str(name)!r}"
        )
    return read_text(name, "The recipe")


def read_recipe(name):
    """The settings and parts in a recipe, a dict.

    Args:
        name: see `recipe_text`.

    Raises:
        ValueError: if there is none of that name, or it cannot be read.
        FileNotFoundError: if there is no such file.
    """
    text = recipe_text(name)
    try:
        table = json.loads(text) if pathlib.Path(name).suffix == ".json" else tomllib.loads(text)
        if not isinstance(table, dict):
            raise ValueError("it holds no table")
    except ValueError as error:
        raise ValueError(f"The recipe {str(name)!r} cannot be read: {error}") from error
    if "method" in table:
        raise ValueError(
            f"The recipe {str(name)!r} was written by version 0.1, whose options had other names."
        )
    return table
