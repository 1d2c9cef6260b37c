"""`keras-wsseg recipes`."""

from keras_wsseg.cli.options import add_command
from keras_wsseg.training.recipes import recipe_names, recipe_text

_DESCRIPTION = """
Lists the recipes from which a training starts, or prints one: to be changed by options of train, or copied
into a .toml file of your own for train --recipe FILE.
"""

_EXAMPLE = """
keras-wsseg recipes
keras-wsseg recipes scribbles > mine.toml
keras-wsseg train hearts --recipe mine.toml --out runs/mine
"""


def add_to(commands):
    """Adds the command."""
    parser = add_command(commands, "recipes", "list or print the recipes of train", _DESCRIPTION, _EXAMPLE)
    parser.add_argument("name", nargs="?", metavar="NAME", help="the recipe to print; all are listed without")
    parser.set_defaults(run=run)


def run(arguments):
    """Lists or prints."""
    if arguments.name is not None:
        print(recipe_text(arguments.name), end="")
        return
    for name in recipe_names():
        print(f"{name:14}{recipe_text(name).splitlines()[0].removeprefix('# ')}")
