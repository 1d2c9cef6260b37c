"""`keras-wsseg sweep`."""

import csv
import io
import pathlib
import time

from keras_wsseg.cli import console
from keras_wsseg.cli.data_folder import config_for
from keras_wsseg.cli.options import add_command, add_recipe, given_changes, parse_changes, shown

_DESCRIPTION = """
Repeats a training over values of its settings and over seeds, and prints the table: mean and spread of the
score, and the difference to the first row. It needs a data folder with lists and dense labels to score on, as
for train; what is trained already is not trained again, so the same command goes on after an interruption.
"""

_EXAMPLE = """
keras-wsseg sweep hearts --out sweeps/losses --vary loss=none,GatedCRFLoss,DenseCRFLoss --seeds 3
keras-wsseg sweep hearts --out sweeps/gates --vary loss.gate_source+loss.gate_destination=no:no,yes:no,yes:yes
keras-wsseg sweep hearts --out sweeps/clicks --data.annotation simulated_clicks --vary data.click_size=1,3 \\
    --vary loss=none,GatedCRFLoss
keras-wsseg sweep hearts --out sweeps/sigma --vary loss.sigma_xy+loss.radius=6:3,12:5,20:8 --seeds 3
keras-wsseg sweep hearts --out sweeps/lambda --vary loss.weight=0.05,0.1,0.3 --score mean_dice
"""


def add_to(commands):
    """Adds the command."""
    parser = add_command(
        commands, "sweep", "repeat a training over settings and seeds", _DESCRIPTION, _EXAMPLE
    )
    parser.usage = "keras-wsseg sweep DATA --out DIR --vary NAME=V,V,... [--vary ...] [options]"
    chosen = parser.add_argument_group("sweep")
    chosen.add_argument("data", metavar="DATA", help="folder with images/, annotations, labels/ and lists")
    chosen.add_argument(
        "--out", required=True, metavar="DIR", help="folder for the run folders and the table"
    )
    chosen.add_argument(
        "--vary",
        action="append",
        required=True,
        metavar="NAME=V,V,...",
        help="values of an option of train, of which every combination is trained, such as loss.radius=3,5; "
        "A+B=1:2,3:4 changes two options together; the parts of a list are joined by /, as in "
        "segmenter.filters=8/16,12/24",
    )
    chosen.add_argument("--seeds", type=int, default=1, metavar="N", help="trainings of each (default: 1)")
    chosen.add_argument(
        "--score",
        choices=("mean_iou", "mean_dice", "mean_f_beta"),
        default="mean_iou",
        help="what the table shows (default: mean_iou)",
    )
    add_recipe(chosen)
    parser.set_defaults(run=run)


def run(arguments):
    """Trains what is missing and writes the table."""
    out = pathlib.Path(arguments.out)
    if arguments.seeds < 1:
        raise ValueError(f"--seeds must be at least 1. Received: {arguments.seeds}")
    varied = parse_variations(arguments.vary)
    for name, place in (("seed", "the seed to --seeds and --seed"), ("data.root", "data.root to DATA")):
        if any(name in names.split("+") for names in varied):
            raise ValueError(f"--vary must leave {place}. Received: {name}")
    config, _ = config_for(arguments.data, arguments.recipe, given_changes(arguments), must_score=True)
    console.load_keras()
    from keras_wsseg.training import sweep
    from keras_wsseg.training.run_folder import write_text

    report = _Report()
    try:
        rows = sweep(
            config,
            varied,
            range(config.seed, config.seed + arguments.seeds),
            out,
            arguments.score,
            on_run=report.begin,
            on_scores=lambda scores: report.end(scores[arguments.score]),
        )
    except KeyboardInterrupt:
        return console.interrupted("the same command goes on from here")
    title, table = table_of(rows, arguments.score)
    console.print_table(*table, title=title)
    write_text(out / "table.csv", as_csv(rows, arguments.score))
    write_text(out / "table.md", as_markdown(*table))
    print(f"The table: {out / 'table.md'} and {out / 'table.csv'}")
    return 0


class _Report:
    """A line for each training: what, and how it ended."""

    def begin(self, number, count, settings, run):
        words = ", ".join(f"{name}={shown(value, '/')}" for name, value in settings.items())
        self._found, self._start = run.finished, time.monotonic()
        print(f"[{number}/{count}] {words}: ", end="", flush=True)

    def end(self, score):
        took = "found" if self._found else f"{time.monotonic() - self._start:.0f} s"
        print(f"{console.points(score)} ({took})", flush=True)


def parse_variations(texts):
    """The values to train, by name, out of `NAME=V,V` and `A+B=V:W,V:W`.

    Raises:
        ValueError: if a text is neither, or a name is there twice.

    Example:

    >>> parse_variations(["loss.radius=3,5", "loss.weight+steps=1:50,2:100"])
    {'loss.radius': [3, 5], 'loss.weight+steps': [(1, 50), (2, 100)]}
    """
    varied = {}
    for text in texts:
        names, equals, values = text.partition("=")
        names = names.strip().lstrip("-").replace("-", "_")
        if not equals or not values:
            raise ValueError(f"--vary must be NAME=V,V,... Received: {text!r}")
        parts = names.split("+")
        for name in parts:
            if any(name in earlier.split("+") for earlier in varied):
                raise ValueError(f"--vary must name an option once. Received: {name!r} twice")
        varied[names] = [_values(parts, one) for one in values.split(",")]
    return varied


def _values(names, text):
    words = text.split(":") if len(names) > 1 else [text]
    if len(words) != len(names):
        raise ValueError(
            f"{'+'.join(names)} needs {len(names)} values joined by a colon at a time. Received: {text!r}"
        )
    values = tuple(parse_changes(dict(zip(names, words, strict=True)), "/").values())
    return values if len(names) > 1 else values[0]


def table_of(rows, score):
    """`(title, (columns, rows of text))`: settings, mean ± spread, difference to the first row, classes."""
    metric = {"mean_iou": "mean IoU", "mean_dice": "mean Dice", "mean_f_beta": "mean F0.3"}[score]
    seeds = len(rows[0].scores)
    title = f"{metric} in points of 100" + (f": mean ± spread over {seeds} seeds" if seeds > 1 else "")
    refined = any(row.refined for row in rows)
    columns = (*rows[0].values, metric, "difference", *(["with CRF"] * refined), *rows[0].per_class)
    lines = []
    for number, row in enumerate(rows):
        mean = _with_spread(row.mean, row.spread, seeds)
        difference = f"{100 * (row.mean - rows[0].mean):+.1f}" if number else ""
        lines.append(
            (
                *(shown(value, "/") for value in row.values.values()),
                mean,
                difference,
                *([_with_spread(row.refined_mean, row.refined_spread, seeds)] * refined),
                *map(console.points, row.per_class.values()),
            )
        )
    return title, (columns, lines)


def _with_spread(mean, spread, seeds):
    if mean is None:
        return ""
    return f"{100 * mean:.1f}" + (f" ± {100 * spread:.1f}" if seeds > 1 else "")


def as_csv(rows, score):
    """The table as CSV in numbers of 0 to 1, with the score of every seed."""
    seeds = [f"run {number + 1}" for number in range(len(rows[0].scores))]
    classes = [f"{score.removeprefix('mean_')} {name}" for name in rows[0].per_class]
    with io.StringIO(newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        refined = ["with CRF", "its spread"] * any(row.refined for row in rows)
        writer.writerow([*rows[0].values, score, "spread", "difference", *refined, *seeds, *classes])
        for row in rows:
            numbers = [row.mean, row.spread, row.mean - rows[0].mean]
            numbers += [row.refined_mean, row.refined_spread] if refined else []
            numbers += [*row.scores, *row.per_class.values()]
            texts = ["" if number is None else f"{number:.6f}" for number in numbers]
            writer.writerow([*(shown(value, "/") for value in row.values.values()), *texts])
        return text.getvalue()


def as_markdown(columns, rows):
    """The table in Markdown."""
    lines = [columns, ["---"] + ["---:"] * (len(columns) - 1), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
