"""Agreement of MeanFieldCRF with the results that pydensecrf stored for its three examples, as a table.

python benchmarks/crf_examples.py FOLDER

FOLDER holds pydensecrf's im1.png, anno1.png, out1.png and so on: 5 steps from drawn labels, correct with
probability 0.7 (black: unknown); kernels of 3 px with weight 3, and of 80 px and 13 of 255 with weight 10.
"""

import argparse
import pathlib
import time

import numpy as np
from PIL import Image

from keras_wsseg.layers import MeanFieldCRF

EXAMPLES = ("1", "2", "3", "1-b")
SETTINGS = {
    "Nyström, 512 landmarks": {"filter_method": "nystrom"},
    "Nyström, 1024 landmarks": {"filter_method": "nystrom", "landmarks": 1024},
    "permutohedral": {"filter_method": "permutohedral"},
    "window of radius 5": {"radius": 5},
}


def read(folder, name):
    """Image, unary probabilities and the stored classes."""
    image = np.array(Image.open(folder / f"im{name[0]}.png"))
    drawn, stored = (
        np.array(Image.open(folder / f"{kind}{name}.png").convert("RGB")) for kind in ("anno", "out")
    )
    colors = [color for color in np.unique(drawn.reshape(-1, 3), axis=0) if color.any()]
    is_drawn, is_stored = (
        np.stack([(labels == color).all(-1) for color in colors], -1) for labels in (drawn, stored)
    )
    certain = np.where(is_drawn, 0.7, 0.3 / (len(colors) - 1))
    unary = np.where(is_drawn.any(-1, keepdims=True), certain, 1 / len(colors))
    return image, unary, is_stored.argmax(-1)


def main():
    """Prints the table."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    print("| pixels that agree |", " | ".join(f"image {name}" for name in EXAMPLES), "| time each |")
    print("|---" * (len(EXAMPLES) + 2) + "|")
    examples = [read(folder, name) for name in EXAMPLES]
    shares = [f"{np.mean(unary.argmax(-1) == stored):.2%}" for _, unary, stored in examples]
    print("| the drawing alone |", " | ".join(shares), "| – |")
    for title, settings in SETTINGS.items():
        layer = MeanFieldCRF(from_logits=False, **settings)
        shares, seconds = [], []
        for image, unary, stored in examples:
            start = time.perf_counter()
            refined = np.array(layer([unary[None], image[None]]))[0]
            seconds.append(time.perf_counter() - start)
            shares.append(f"{np.mean(refined.argmax(-1) == stored):.2%}")
        print(f"| {title} |", " | ".join(shares), f"| {sorted(seconds)[1]:.1f} s |", flush=True)


if __name__ == "__main__":
    main()
