"""Every command that is written down can be typed, and those beside a table train what the table says."""

import ast
import itertools
import pathlib
import re
import shlex

import pytest

from keras_wsseg.cli.class_by_class_command import parse_final
from keras_wsseg.cli.main import _parse, _parser
from keras_wsseg.cli.options import parse_changes, take_changes
from keras_wsseg.cli.sweep_command import parse_variations
from keras_wsseg.training.config import TrainingConfig
from keras_wsseg.training.parts import PARTS, arguments_of
from keras_wsseg.training.recipes import recipe_names

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The changelog holds commands of earlier versions.
PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "docs" / "guides").glob("*.py")),
)
SCRIPTS = sorted((*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "examples").glob("*.py")))
RECIPES = ROOT / "keras_wsseg" / "training" / "recipe_files"


def texts():
    """`(where, text)` of all that holds commands."""
    found = [(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in PAGES]
    for path in SCRIPTS:
        said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        found.append((str(path.relative_to(ROOT)), said))
    return found


def typed_commands():
    """`(where, words)` of commands on lines of their own: in blocks, and in the help's examples."""
    parser, commands = _parser()
    places = [(f"{name} --help", command.epilog or "") for name, command in commands.choices.items()]
    for where, text in (*texts(), *places, ("--help", parser.epilog)):
        joined = re.sub(r" *\\\n\s*", " ", text)
        for line in re.findall(r"^\s*(keras-wsseg .*)$", joined, re.MULTILINE):
            # A line of prose that a span of code is broken into is not in a block.
            if "`" not in line:
                yield where, shlex.split(line.split(" > ")[0], comments=True)[1:]


def named_commands():
    """`(where, words)` of commands in spans of code within prose, which may leave out what is required."""
    for where, text in texts():
        prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
        for span in re.findall(r"`(keras-wsseg [^`]+)`", prose):
            yield where, [word for word in shlex.split(span)[1:] if word != "…"]


def spans_of_options():
    """`(where, words)` of options by themselves, in prose and in the first lines of the recipes."""
    for where, text in texts():
        prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
        for span in re.findall(r"`(--[^`]+)`", prose):
            yield where, shlex.split(span)
    for line in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines():
        # Of a table of names the second column holds those of today.
        for span in re.findall(r"`(--[^`]+)`", line.split(" | ")[-1] if line.startswith("| ") else ""):
            yield "CHANGELOG.md", shlex.split(span)
    for path in sorted(RECIPES.glob("*.toml")):
        said = " ".join(line[2:] for line in path.read_text().splitlines() if line.startswith("# "))
        if "--" in said:
            yield f"--recipe {path.stem}", shlex.split(said[said.index("--") :])


def arguments_for(words):
    """The parsed words; a file that a command before would have written is the recipe that it came from."""
    words = ["scribbles" if re.search(r"\.(toml|json)$", word) else word for word in words]
    if "--help" in words:
        with pytest.raises(SystemExit):
            _parse(words)
        return None
    return _parse(words)


def configs(words):
    """The configurations of all trainings that a command makes, in their order."""
    arguments = arguments_for(words)
    if arguments is None or not hasattr(arguments, "changes"):
        return []
    changes = parse_changes(arguments.changes)
    config = TrainingConfig.from_recipe(arguments.recipe, "DATA", changes)
    if words[0] == "sweep":
        varied = parse_variations(arguments.vary)
        rows = []
        for values in itertools.product(*varied.values()):
            row = {}
            for names, value in zip(varied, values, strict=True):
                names = names.split("+")
                row |= zip(names, value if len(names) > 1 else (value,), strict=True)
            rows.append(config.replace(row))
        return rows
    if words[0] == "class-by-class":
        final = {"loss": None, **parse_final(arguments.final)}
        return [config, TrainingConfig.from_recipe("scribbles", "DATA", final)]
    return [config]


@pytest.mark.parametrize(("where", "words"), list(typed_commands()), ids=lambda value: " ".join(value[:2]))
def test_command_can_be_typed(where, words, capsys):
    from keras_wsseg.training.build import build_loss

    try:
        for config in configs(words):
            build_loss(config)
    except (SystemExit, TypeError, ValueError) as error:
        pytest.fail(f"{where}: {shlex.join(words)}: {error} {capsys.readouterr().err}")


@pytest.mark.parametrize(("where", "words"), list(named_commands()), ids=lambda value: " ".join(value[:2]))
def test_named_command_is_one(where, words, capsys):
    _, commands = _parser()
    if words == ["--version"]:
        return
    assert words[0] in commands.choices, where
    try:
        configs(words)
    except (SystemExit, ValueError) as error:
        missing = "arguments are required" in capsys.readouterr().err
        assert missing, f"{where}: {shlex.join(words)}: {error}"
        if commands.choices[words[0]].get_default("takes_changes"):
            words, changes = take_changes(words)
            assert all(map(is_setting, changes))
        known = commands.choices[words[0]]._option_string_actions
        assert [word for word in words if word.startswith("--") and word.split("=")[0] not in known] == []


def is_setting(name):
    """Whether an option of `train` has this name, in a recipe or with a class that a part may have."""
    part, *path = name.split(".")
    if part not in PARTS:
        return not path and part in TrainingConfig.__dataclass_fields__
    if not path:
        return True
    for class_name in PARTS[part][1]:
        helps, defaults, further = arguments_of(part, class_name)
        if further or path[-1] in {**helps, **defaults}:
            return True
    return False


def other_options():
    """Options of the commands that do not train, and those of the scripts."""
    _, commands = _parser()
    found = {option for command in commands.choices.values() for option in command._option_string_actions}
    for path in SCRIPTS:
        found |= set(re.findall(r'"(--[a-z-]+)"', path.read_text(encoding="utf-8")))
    return found | {"--version"}


@pytest.mark.parametrize(("where", "words"), list(spans_of_options()), ids=lambda value: " ".join(value))
def test_option_is_one(where, words):
    if any(re.match(r"--[A-Z]|.*\.[A-Z]", word) for word in words):
        return
    options = [word.partition("=")[0].removeprefix("--") for word in words if word.startswith("--")]
    known = other_options()
    for option in options:
        name = option.replace("-", "_").removeprefix("no_")
        # A dash is a matter of the commands that do not train.
        assert f"--{option}" in known or is_setting(name), f"{where}: --{option}"
    if len(words) > 1 and not any(f"--{option}" in known for option in options):
        assert fitting_recipes(words), f"{where}: {shlex.join(words)}"


def fitting_recipes(words):
    """Recipes that such options may change."""
    found = []
    for recipe in recipe_names():
        left, changes = take_changes(words)
        assert left == [], left
        try:
            TrainingConfig.from_recipe(recipe, "DATA", parse_changes(changes))
        except ValueError:
            continue
        found.append(recipe)
    return found


def test_commands_were_found():
    counted = [len(list(found)) for found in (typed_commands(), named_commands(), spans_of_options())]
    assert counted[0] >= 60 and counted[1] >= 15 and counted[2] >= 30, counted


def made_by(name):
    """The configurations of the sweep that writes into `sweeps/NAME`, one for each row."""
    (found,) = {
        tuple(words) for where, words in typed_commands() if f"sweeps/{name}" in words and "results" in where
    }
    return configs(list(found))


def losses_of(config):
    from keras_wsseg.training.build import build_terms

    return build_terms(config)


def warm_ups_of(config):
    """`(term, first steps without it, steps over which it then rises)` of each term that warms up."""
    from keras_wsseg.training.build import build_loss

    return [(one.loss.name, one.delay_steps, one.ramp_steps) for one in build_loss(config)[1]]


def holds(loss, class_name, **expected):
    """Asserts what a loss is, and the settings of it that a table depends on."""
    assert type(loss).__name__ == class_name
    found = {key: loss.get_config()[key] for key in expected}
    assert found == pytest.approx(expected)


DENSE = {"sigma_rgb": 15 / 255, "resolution": 0.5, "landmarks": 256}


@pytest.mark.parametrize(
    ("name", "sigma_xy", "class_weights"), [("acdc-crf", 30, None), ("camvid-crf", 70, "batch")]
)
def test_rows_of_the_tables_of_masks(name, sigma_xy, class_weights):
    """As published with 0.1: its gated CRF was 6 cells of half a grid wide, which is 12 pixels."""
    rows = [losses_of(config) for config in made_by(name)]
    for first, _ in rows:
        assert type(first).__name__ == "PartialCrossEntropy"
        assert first.get_config()["class_weights"] == class_weights and first.weight == 1
    gated, dense, cut, kernel_cut, adm = (last for _, last in rows)
    holds(gated, "GatedCRFLoss", weight=0.03, sigma_xy=12, sigma_rgb=0.03, radius=5, resolution=0.5)
    assert gated.normalization == "destination" and gated.kernels is None
    assert (gated.gate_source, gated.gate_destination, gated.gate_padding) == (True, False, True)
    holds(dense, "DenseCRFLoss", weight=2, sigma_xy=sigma_xy, **DENSE)
    holds(cut, "NormalizedCutLoss", weight=0.03, sigma_xy=sigma_xy, **DENSE)
    holds(kernel_cut, "KernelCutLoss", weight=2, cut_weight=0.005, sigma_xy=sigma_xy, **DENSE)
    assert kernel_cut.get_config().keys().isdisjoint({"cut_sigma_xy", "cut_sigma_rgb"})
    holds(adm, "ADMLoss", weight=0.3, coupling=2, iterations=5, sigma_xy=sigma_xy, **DENSE)
    for loss in (dense, cut, kernel_cut, adm):
        assert loss.filter_method == "auto"


def test_rest_of_the_settings_of_the_tables_of_masks():
    for config in (*made_by("acdc-crf"), *made_by("acdc-labels")):
        assert (config.steps, config.batch_size, config.image_size, config.flip) == (400, 8, 144, False)
        assert (config.group_by, config.score_crf, config.mode) == ("^(.*)_slice", "dense", "crop")
        assert config.segmenter["config"]["filters"] == [12, 24, 48, 96]
        assert config.optimizer == {"class_name": "Adam", "config": {"learning_rate": 0.003}}
        assert config.schedule["config"] == {"end_learning_rate": 0.0, "power": 0.9}
        assert config.scale == (0.8, 1.25)
    for config in (*made_by("camvid-crf"), *made_by("camvid-labels")):
        assert (config.steps, config.batch_size, config.image_size, config.flip) == (1300, 4, 128, True)
        assert config.score_crf == "dense"
    for config in made_by("acdc-crf"):
        assert [steps for _, *steps in warm_ups_of(config)] == [[100, 100]]
    for config in made_by("camvid-crf"):
        assert [steps for _, *steps in warm_ups_of(config)] == [[325, 325]]
    for name, annotations in (("acdc", ("scribbles", "labels")), ("camvid", ("simulated_clicks", "labels"))):
        rows = made_by(f"{name}-labels")
        assert tuple(config.data["config"]["annotation"] for config in rows) == annotations
        assert [config.terms for config in rows] == [["PartialCrossEntropy"]] * 2
    stuff = [config.data["config"]["stuff_classes"] for config in made_by("camvid-labels")]
    assert stuff == [list(range(8)), []]


def test_rows_of_the_table_of_horses():
    rows = made_by("horses")
    stages = [(0, 65), (15, 50)] * 3
    for config, (annealing, normal), weight in zip(rows, stages, (15, 15, 40, 40, 100, 100), strict=True):
        (loss,) = losses_of(config)
        holds(
            loss, "SingleClassLoss", crf_weight=weight, sigma_rgb=0.15, target_fraction=0.3, min_fraction=0.15
        )
        assert loss.get_config()["small_reduction"] == "mean"
        assert config.stages["config"]["annealing_epochs"] == annealing
        assert config.stages["config"]["normal_epochs"] == normal
        assert config.stages["config"]["initial_sigma_rgb"] == 0.05
        assert config.optimizer["config"]["learning_rate"] == 0.002
        assert config.schedule["config"] == {"end_learning_rate": 0, "power": 0.9}
    (labeled,) = made_by("horses-labels")
    assert labeled.steps == 845 and labeled.terms == ["PartialCrossEntropy"]
    assert labeled.data["config"]["annotation"] == "labels"
    for config in (*rows, labeled):
        assert (config.mode, config.image_size, config.batch_size, config.images_every) == (
            "resize",
            64,
            16,
            0,
        )
        assert config.steps_per_epoch == 13 and config.segmenter["config"]["filters"] == [24, 48]


def test_rows_of_the_table_of_tags():
    (prior,), (neighborhood,), regions, (labeled,) = map(
        made_by, ("prior", "neighborhood", "regions", "labels")
    )
    (loss,) = losses_of(prior)
    holds(loss, "AdaptivePriorLoss", weight=1, min_background_fraction=0.4, min_object_fraction=0.2)
    loss, last = losses_of(neighborhood)
    holds(loss, "AdaptivePriorLoss", weight=1, min_background_fraction=0.4, min_object_fraction=0.2)
    holds(last, "NeighborhoodLoss", weight=0.3, sharpness=4, landmarks=256)
    assert (last.variant, last.radius, last.filter_method) == ("exponentiated", None, "auto")
    wide, near = (kernel.get_config() for kernel in last.kernels)
    assert wide == {"weight": 10, "sigma_xy": 80, "sigma_rgb": pytest.approx(13 / 255)}
    assert near == {"weight": 3, "sigma_xy": 3}
    for config, weight in zip(regions, (0, 3), strict=True):
        first, last = losses_of(config)
        assert type(first).__name__ == "BalancedCrossEntropy" and first.weight == 1
        holds(last, "DenseEnergyLoss", weight=weight, sigma_xy=100, **DENSE)
        made = config.segmenter["config"]
        assert (made["crf"], made["dilation"], made["keep_fraction"]) == ("windowed", 4, 0.4)
        assert made["scales"] in ([1], 1) and made["background_exponent"] == 4
        assert made["backbone"]["class_name"] == "UNet" and made["backbone"]["config"]["filters"] == [16, 32]
        late = [("balanced_cross_entropy", 200, 100), ("dense_energy", 200, 100)]
        assert warm_ups_of(config) == late
    for config in (prior, neighborhood, *regions, labeled):
        assert (config.mode, config.image_size, config.batch_size) == ("resize", 48, 16)
        assert (config.steps, config.steps_per_epoch) == (600, 100)
        assert config.optimizer["config"]["learning_rate"] == 0.003
    assert warm_ups_of(neighborhood) == [("neighborhood", 200, 100)] and warm_ups_of(prior) == []
    assert labeled.terms == ["PartialCrossEntropy"] and labeled.data["config"]["annotation"] == "labels"


def test_an_unknown_option_would_be_seen(capsys):
    with pytest.raises(SystemExit):
        configs(["train", "hearts", "--out", "run", "--method", "pce"])
    with pytest.raises(ValueError, match="crf_weight"):
        configs(["train", "hearts", "--out", "run", "--loss.crf_weight", "2"])
    assert not is_setting("crf_weight") and not is_setting("loss.gamma")
