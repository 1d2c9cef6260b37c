"""`keras-wsseg propose`."""

import concurrent.futures
import os

import numpy as np

from keras_wsseg.cli import console
from keras_wsseg.cli.data_folder import check_data_folder
from keras_wsseg.cli.label_folder import label_folder, say_how_to_train
from keras_wsseg.cli.options import add_argument_of, add_command, add_values, parse_changes

_DESCRIPTION = """
Grows scribbles or clicks into dense label maps by GrabCut, once: the baseline that trains on such proposals
as if they were the truth. It needs a folder with images/ and annotations, and the extra [grabcut].
"""

_EXAMPLE = """
keras-wsseg propose hearts --annotation scribbles --out grabcut
keras-wsseg train hearts --data.annotation grabcut --loss none --out runs/grabcut
"""


def add_to(commands):
    """Adds the command."""
    parser = add_command(commands, "propose", "grow annotations by GrabCut", _DESCRIPTION, _EXAMPLE)
    parser.add_argument("data", metavar="DATA", help="folder with images/ and the annotations")
    add_argument_of(parser, "data", "SegmentationFolder", "annotation")
    parser.add_argument(
        "--out",
        default="grabcut",
        metavar="NAME",
        help="sub-folder of DATA for the label maps, or an absolute path where DATA is not to be written to; "
        "train takes either as --data.annotation (default: grabcut)",
    )
    parser.add_argument(
        "--split", metavar="NAME", help="list of the images, NAME.txt in DATA (default: all annotated ones)"
    )
    for name in ("iterations", "unclaimed", "seed"):
        add_argument_of(parser, "annotations", "grabcut_proposals", name, type=int)
    add_argument_of(parser, "data", "SegmentationFolder", "instances")
    add_values(parser)
    add_argument_of(parser, "data", "SegmentationFolder", "value_range", metavar="LOW,HIGH")
    parser.add_argument(
        "--force", action="store_true", help="replace label maps of the same names that lie in --out"
    )
    parser.set_defaults(run=run)


def run(arguments):
    """Proposes, and says what to type next."""
    check_data_folder(arguments.data)
    sources = [source for source in (arguments.annotation, arguments.instances) if source is not None]
    out = label_folder(arguments.data, arguments.out, sources, arguments.force)
    console.load_keras()
    from keras_wsseg.data import SegmentationFolder

    data = SegmentationFolder(
        arguments.data,
        annotation=arguments.annotation,
        split=arguments.split,
        instances=arguments.instances,
        values=arguments.values,
        value_range=arguments.value_range and parse_changes({"": arguments.value_range})[""],
    )
    if arguments.unclaimed not in (*range(data.num_classes), 255):
        raise ValueError(
            f"--unclaimed must be 255 or the id of one of the {data.num_classes} classes. "
            f"Received: {arguments.unclaimed}"
        )
    out.mkdir(parents=True, exist_ok=True)
    left = _propose_all(data, out, arguments)
    print(f"{len(data)} proposals in {out}; {100 * np.mean(left):.1f} % of the pixels unlabeled")
    say_how_to_train(arguments.data, arguments.out)


def _propose_all(data, out, arguments):
    """Writes all proposals; returns the part of each that stays unlabeled."""
    # OpenCV lets go of Python's lock while it cuts, and keeps a seed for each thread.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            jobs = [pool.submit(_propose, data, index, out, arguments) for index in range(len(data))]
            return [job.result() for job in console.progress("proposing")(jobs)]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _propose(data, index, out, arguments):
    from keras_wsseg.annotations import UNLABELED, grabcut_proposals, write_label_map

    image, labels = data.load(index)
    proposal = grabcut_proposals(
        image,
        labels,
        arguments.iterations,
        arguments.unclaimed,
        arguments.seed,
        data.value_range,
    )
    write_label_map(out / f"{data.names[index]}.png", proposal)
    return np.mean(proposal == UNLABELED)
