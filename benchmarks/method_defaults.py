"""Which method, weights and widths should be the defaults of `keras-wsseg train`?

    python benchmarks/method_defaults.py DATA --out DIR            all rows, three seeds: hours
    python benchmarks/method_defaults.py DATA --out DIR --table    existing results only, no training
    python benchmarks/method_defaults.py DATA --out DIR --quick    a smoke test

--tasks, --methods and --seeds select rows; --full trains on the default batches and crops of the command
line, otherwise they are smaller, 4 crops of 128.

DATA contains a data folder for each of `acdc`, `camvid` and `voc_animals`. Every training is that of the
command line, `training.train`, with its defaults except for what the table states; images larger than those
of `acdc` are first resized to a long side of 224, and the training lists truncated to 500, so that a training
takes a minute or two. A finished training is a line of DIR/trials.jsonl and is not repeated.

A default must not be worse than cross entropy alone on any of the sets; differences within the spread of the
seeds do not count.
"""

import argparse
import json
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from PIL import Image

from keras_wsseg.annotations import (
    UNLABELED,
    read_label_map,
    simulate_clicks,
    simulate_scribbles,
    write_label_map,
)

# Name: data folder, annotation (a folder, or what is simulated from the labels), settings.
TASKS = {
    "hearts, scribbles": ("acdc", "scribbles", {"group_by": "^(.*)_slice"}),
    "streets, scribbles": ("camvid", simulate_scribbles, {}),
    "streets, clicks": ("camvid", simulate_clicks, {}),
    "animals, scribbles": ("voc_animals", "scribbles", {}),
    "animals, clicks": ("voc_animals", "clicks", {}),
}
BASELINE = "cross entropy"
GATED = {"loss": "GatedCRFLoss", "loss.sigma_xy": 12.0, "loss.sigma_rgb": 0.03}
DENSE = {"loss": "DenseCRFLoss", "loss.sigma_xy": 100.0}
LATE = {"warm_up.delay_steps": 200, "warm_up.ramp_steps": 200}
METHODS = {
    BASELINE: {"loss": None},
    "gated CRF, 0.03": {**GATED, "loss.weight": 0.03},
    "dense CRF, 2": {**DENSE, "loss.weight": 2.0},
    "dense CRF, 0.5": {**DENSE, "loss.weight": 0.5},
    "dense CRF, 0.2": {**DENSE, "loss.weight": 0.2},
    "dense CRF, 2, late": {**DENSE, "loss.weight": 2.0, **LATE},
    "gated CRF, 0.01": {**GATED, "loss.weight": 0.01},
    "gated CRF, 0.01, σ_rgb 0.06": {**GATED, "loss.weight": 0.01, "loss.sigma_rgb": 0.06},
    "gated CRF, 0.01, σ_rgb 0.015": {**GATED, "loss.weight": 0.01, "loss.sigma_rgb": 0.015},
    "gated CRF, 0.03, late": {**GATED, "loss.weight": 0.03, **LATE},
    "normalized cut, 0.03": {**DENSE, "loss": "NormalizedCutLoss", "loss.weight": 0.03},
    "kernel cut, 0.5": {**DENSE, "loss": "KernelCutLoss", "loss.weight": 0.5},
}
SHORT = {"batch_size": 4, "image_size": 128}
QUICK = {"batch_size": 2, "image_size": 32, "steps": 4, "segmenter.filters": (4, 8)}
QUICK |= {"warm_up.delay_steps": 1, "warm_up.ramp_steps": 1}
LONG_SIDE, TRAINED, SCORED = 224, 500, 80


def prepared(data, out, task):
    """The reduced data folder of a task, written once."""
    source, annotation, _ = TASKS[task]
    source, folder = data / source, out / "data" / task.replace(", ", "-")
    if (folder / "classes.txt").is_file():
        return folder
    for part in ("images", "labels", "weak"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for split, most in (("train", TRAINED), ("val", None if source.name == "acdc" else SCORED)):
        names = (source / f"{split}.txt").read_text().split()
        names = names if most is None else names[:: -(-len(names) // most)]
        (folder / f"{split}.txt").write_text("\n".join(names) + "\n")
        for index, name in enumerate(names):
            _reduce(source, folder, name, annotation if split == "train" else None, index)
    # Written last: it says that the folder is whole.
    (folder / "classes.txt").write_text((source / "classes.txt").read_text())
    return folder


def _reduce(source, folder, name, annotation, seed):
    (file,) = (source / "images").glob(f"{name}.*")
    with Image.open(file) as image:
        factor = min(1, LONG_SIDE / max(image.size))
        width, height = (round(side * factor) for side in image.size)
        image.resize((width, height), Image.Resampling.LANCZOS).save(folder / "images" / f"{name}.png")
    labels = read_label_map(source / "labels" / f"{name}.png")
    rows = ((np.arange(height) + 0.5) * labels.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * labels.shape[1] / width).astype(int)
    reduced = labels[np.ix_(rows, columns)]
    write_label_map(folder / "labels" / f"{name}.png", reduced)
    if annotation is None:
        return
    if annotation is simulate_scribbles:
        weak = simulate_scribbles(reduced, seed=seed)
    elif annotation is simulate_clicks:
        weak = simulate_clicks(reduced)
    else:
        weak = _moved(read_label_map(source / annotation / f"{name}.png"), height, width)
    write_label_map(folder / "weak" / f"{name}.png", weak)


def _moved(weak, height, width):
    """Every annotated pixel at its place in the reduced image, so that no click is lost."""
    reduced = np.full((height, width), UNLABELED, "uint8")
    rows, columns = np.nonzero(weak != UNLABELED)
    places = rows * height // weak.shape[0], columns * width // weak.shape[1]
    reduced[places] = weak[rows, columns]
    return reduced


def trial(config, folder):
    """Trains and scores: a dict of what it reached."""
    from keras_wsseg.training import train

    start = time.perf_counter()
    scores = train(config, folder, resume=(folder / "config.json").is_file(), verbose=0).read_scores()
    return {
        **{name: scores[name] for name in ("mean_iou", "mean_dice", "iou")},
        "seconds": round(time.perf_counter() - start, 1),
    }


def run(data, out, stage, tasks, methods, seeds, changes):
    """Trains what is missing, seed by seed and task by task, and writes a line for each training."""
    from keras_wsseg.training import TrainingConfig

    done = {key(line) for line in read(out)}
    for seed in seeds:
        for task in tasks:
            for method, settings in methods.items():
                line = {"stage": stage, "task": task, "method": method, "seed": seed}
                if key(line) in done:
                    continue
                common = {"data.annotation": "weak", "seed": seed, "steps_per_epoch": 100, "images_every": 4}
                config = TrainingConfig.from_recipe(
                    "scribbles",
                    prepared(data, out, task),
                    {**common, **TASKS[task][2], **settings, **changes},
                )
                parts = "-".join(f"{value}".replace(", ", "-").replace(" ", "-") for value in line.values())
                line.update(settings=settings, **trial(config, out / "runs" / parts))
                with (out / "trials.jsonl").open("a") as file:
                    file.write(json.dumps(line) + "\n")
                print(
                    f"{stage}: {task}, {method}, seed {seed}: IoU {100 * line['mean_iou']:.1f}, "
                    f"Dice {100 * line['mean_dice']:.1f}, {line['seconds']:.0f} s",
                    flush=True,
                )


def key(line):
    """What tells one training from another."""
    return tuple(line[name] for name in ("stage", "task", "method", "seed"))


def read(out):
    """The lines of finished trainings."""
    path = out / "trials.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def print_table(lines):
    """Mean and spread over the seeds; in brackets each seed's difference to cross entropy alone."""
    scores = {}
    for line in lines:
        column = (line["task"], "mean_iou")
        scores.setdefault(column, {}).setdefault(line["method"], {})[line["seed"]] = line["mean_iou"]
        if "group_by" in TASKS[line["task"]][2]:
            column = (line["task"], "mean_dice")
            scores.setdefault(column, {}).setdefault(line["method"], {})[line["seed"]] = line["mean_dice"]
    called = {"mean_iou": "IoU", "mean_dice": "3-D Dice"}
    columns = sorted(scores, key=lambda column: (list(TASKS).index(column[0]), column[1]))
    print("| method |", " | ".join(f"{task}, {called[score]}" for task, score in columns), "|")
    print("|---" * (1 + len(columns)) + "|")
    for method in dict.fromkeys(line["method"] for line in lines):
        cells = [_cell(scores[c].get(method, {}), scores[c].get(BASELINE, {})) for c in columns]
        print(f"| {method} |", " | ".join(cells), "|")


def _cell(of_seed, baseline):
    if not of_seed:
        return "–"
    values = 100 * np.array(list(of_seed.values()))
    text = f"{values.mean():.1f}" + (f" ± {values.std(ddof=1):.1f}" if len(values) > 1 else "")
    gains = [100 * (of_seed[seed] - baseline[seed]) for seed in of_seed if seed in baseline]
    if of_seed is baseline or not gains:
        return text
    return f"{text} ({', '.join(f'{gain:+.1f}'.replace('-', '−') for gain in gains)})"


def main():
    """Trains and prints the table."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("data", type=pathlib.Path, metavar="DATA")
    parser.add_argument("--out", type=pathlib.Path, required=True, metavar="DIR")
    parser.add_argument("--full", action="store_true", help="default batches and crops")
    parser.add_argument("--quick", action="store_true", help="a few steps of a tiny net")
    parser.add_argument("--table", action="store_true", help="print the table alone")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    arguments = parser.parse_args()
    stage, changes = ("full", {}) if arguments.full else ("short", SHORT)
    if arguments.quick:
        stage, changes = "quick", QUICK
    methods = {name: METHODS[name] for name in arguments.methods}
    arguments.out.mkdir(parents=True, exist_ok=True)
    if not arguments.table:
        run(arguments.data, arguments.out, stage, arguments.tasks, methods, range(arguments.seeds), changes)
    lines = [
        line for line in read(arguments.out) if line["stage"] == stage and line["task"] in arguments.tasks
    ]
    print_table([line for method in methods for line in lines if line["method"] == method])


if __name__ == "__main__":
    main()
