"""What the commands print beside their own lines: tables, progress, and not TensorFlow's greetings."""

import contextlib
import logging
import os
import pathlib
import shlex
import shutil
import sys
import tempfile


def load_keras():
    """Imports Keras and its backend without the pages they write on the error stream while they start."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _buffered_stderr():
        import keras

        # The first operation looks for devices, and reports on what it did not find.
        keras.ops.convert_to_numpy(keras.ops.zeros(()))
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    logging.getLogger("absl").setLevel(logging.ERROR)
    show_choices()


def show_choices():
    """Has the library tell on the error stream what it chose by itself."""
    own = logging.getLogger("keras_wsseg")
    if not own.handlers:
        own.addHandler(_OnErrorStream())
    own.setLevel(logging.INFO)


class _OnErrorStream(logging.Handler):
    """What the library chose by itself, on the error stream of now."""

    def emit(self, record):
        print(f"keras-wsseg: {record.getMessage()}", file=sys.stderr)


@contextlib.contextmanager
def _buffered_stderr():
    """Holds back what is written to the error stream by anybody in this process; an exception lets it out."""
    sys.stderr.flush()
    stream = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(stream, 2)
            held.seek(0)
            os.write(2, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stream, 2)
            os.close(stream)


def own_command():
    """How to type this program where it was started from: by its name only where the shell finds that."""
    if shutil.which("keras-wsseg"):
        return "keras-wsseg"
    started = pathlib.Path(sys.argv[0])
    return shlex.quote(str(started)) if started.name == "keras-wsseg" else "python -m keras_wsseg.cli"


def single_line(error):
    """What an error says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def tell_failed(done, failed):
    """Lists what was not done, a dict from path to reason, on the error stream; returns the exit status."""
    for path, reason in failed.items():
        print(f"keras-wsseg: not {done}: {path}: {single_line(reason)}", file=sys.stderr)
    return 1 if failed else 0


def interrupted(said):
    """Says after Ctrl-C how to go on; returns the exit status."""
    print(f"\nkeras-wsseg: interrupted; {said}", file=sys.stderr)
    return 130


def again(command, arguments, begun):
    """What to type after a training that had begun, or not, to go on."""
    if not begun:
        return "nothing was written yet, so type the same command again"
    data, out = shlex.quote(arguments.data), shlex.quote(arguments.out)
    return f"go on with: keras-wsseg {command} {data} --out {out} --resume"


def training_verbosity():
    """Keras' progress bar for a person, one line an epoch for a file."""
    return 1 if sys.stdout.isatty() else 2


def progress(title):
    """A function that wraps an iterable and shows how far it got; silent where nobody is watching."""

    def wrap(iterable):
        from rich.console import Console
        from rich.progress import track

        console = Console(stderr=True)
        return track(iterable, title, console=console, disable=not console.is_terminal, transient=True)

    return wrap


def print_table(columns, rows, title=None):
    """Prints a table: the first column to the left, all others to the right; a row of None is a line."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        if row is None:
            table.add_section()
        else:
            table.add_row(*row)
    # Files have no width, and a narrow terminal may break lines but shall lose no number.
    needed = Console(width=10_000).measure(table).maximum
    console = Console()
    Console(width=max(console.width, needed)).print(table)


def points(score):
    """A score of 0 to 1 in points of 0 to 100; a dash where there is none."""
    return "-" if score is None else f"{100 * score:.1f}"


def print_scores(scores):
    """Prints scores, a dict as in `scores.json`, as a table of classes; those with a CRF behind it too."""
    # Scores that were written before there was an F measure have none.
    measures = [scores["iou"], scores["dice"], scores.get("f_beta", {})]
    rows = [(name, *(points(measure.get(name)) for measure in measures)) for name in scores["iou"]]
    pooled = f"{scores['images']} images"
    if scores["groups"] > 1:
        pooled += f" in {scores['groups']} groups, Dice per group"
    means = (points(scores.get(f"mean_{name}")) for name in ("iou", "dice", "f_beta"))
    print_table(
        ("class", "IoU", "Dice", "F0.3"),
        [*rows, None, ("mean", *means)],
    )
    print(f"In points of 100; {pooled}; the mean Dice leaves out the first class.")
    print("F0.3: the F measure with β² = 0.3, all pixels pooled; its mean leaves out the first class too.")
    if scores.get("refined"):
        print("With a CRF behind the segmenter:")
        print_scores(scores["refined"])
