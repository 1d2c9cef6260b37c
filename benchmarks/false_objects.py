"""The fraction of images without the object that a segmenter labels as the object.

    python benchmarks/false_objects.py RUN [RUN ...] --images FOLDER

Each RUN is a run folder or .keras file of two classes. Prints the mean fraction of pixels labeled as the
object over the images of FOLDER, which the stage with negative images should lower.
"""

import argparse
import pathlib

import numpy as np

from keras_wsseg.data import SingleClassFolder
from keras_wsseg.training import class_map
from keras_wsseg.training.run_folder import load_model


def main():
    """Prints a line a segmenter."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--images", required=True, metavar="FOLDER")
    arguments = parser.parse_args()
    folder = pathlib.Path(arguments.images).resolve()
    data = SingleClassFolder(folder.parent, positives=folder.name, object_name="object")
    for run in arguments.runs:
        segmenter = load_model(run)
        shares = [np.mean(class_map(segmenter, data.load(index)[0]) == 1) for index in range(len(data))]
        print(f"{np.mean(shares):6.1%} of {len(data)} images: {run}")


if __name__ == "__main__":
    main()
