import shutil

import pytest

from keras_wsseg.training import TrainingConfig
from keras_wsseg.training.batches import training_length
from keras_wsseg.training.build import build_loss, build_model, build_optimizer, build_training_data
from keras_wsseg.training.parts import PARTS, arguments_of
from keras_wsseg.training.recipes import read_recipe, recipe_names, recipe_text

NAMES = ("clicks", "full", "rrm", "scribbles", "single-class", "tags")


def test_every_published_setting_has_a_recipe():
    assert recipe_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_begins_with_what_it_is_for(name):
    first = recipe_text(name).splitlines()[0]
    assert first.startswith("# ") and first.endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_names_arguments_that_its_classes_have(name):
    table = read_recipe(name)
    for part in {*PARTS} & {*table}:
        for term in table[part] if part == "loss" else [table[part]]:
            class_name = term.get("class_name", PARTS[part][1][0])
            _, defaults, further = arguments_of(part, class_name)
            assert further or {*term} - {"class_name"} <= {*defaults}


@pytest.mark.usefixtures("narrow_encoders")
@pytest.mark.parametrize("name", NAMES)
def test_all_parts_of_a_recipe_can_be_built(name, small_folder, tmp_path):
    root = shutil.copytree(small_folder, tmp_path / "data")
    shutil.copytree(root / "scribbles", root / "clicks")
    (root / "tags.csv").write_text("".join(f"p{index},ellipse\n" for index in range(6)))
    config = TrainingConfig.from_recipe(name, root)
    data = build_training_data(config)
    model, segmenter = build_model(config, data)
    loss, schedule = build_loss(config)
    steps = training_length(config, data).steps
    model.compile(optimizer=build_optimizer(config, steps, segmenter), loss=loss)
    assert len(data) == 4 and segmenter.output_shape[-1] == 2
    # Whoever has nothing but a recipe has some five minutes on a CPU, or says so by epochs.
    assert steps == 400 or config.single_class
    assert len(schedule) == (1 if config.single_class else len(config.late_terms))
    assert segmenter.count_params() < 1_000_000


def test_a_recipe_may_leave_out_all_but_the_loss(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text('loss = "PartialCrossEntropy"\n')
    config = TrainingConfig.from_recipe(path, "hearts")
    assert (config.steps, config.terms, config.validation) == (400, ["PartialCrossEntropy"], None)
    assert [config.data["class_name"], config.segmenter["class_name"]] == ["SegmentationFolder", "UNet"]
    path.write_text('loss = ["PartialCrossEntropy", "ADMLoss"]\nsegmenter = "VGG16Skip"\n')
    config = TrainingConfig.from_recipe(path, "hearts")
    assert (
        config.terms == ["PartialCrossEntropy", "ADMLoss"] and config.segmenter["class_name"] == "VGG16Skip"
    )


def test_files_that_are_none_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="must be an existing file. Received: '.*own.toml'"):
        TrainingConfig.from_recipe(tmp_path / "own.toml", "hearts")
    with pytest.raises(ValueError, match="recipe must be one of clicks, .* file. Received: recipe='own'"):
        TrainingConfig.from_recipe("own", "hearts")
    for name, text in (("own.toml", "steps = "), ("own.json", "{"), ("own.json", "[1]")):
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match=f"The recipe '.*{name}' cannot be read: "):
            TrainingConfig.from_recipe(tmp_path / name, "hearts")
