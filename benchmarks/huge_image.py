"""A very large image: time and memory in windows and whole, and where their classes differ.

python benchmarks/huge_image.py streets.onnx FOLDER                       6000 x 4000 pixels
python benchmarks/huge_image.py streets.onnx FOLDER --size 3000x2000

The image is a collage of the photographs in FOLDER, enlarged to 1000 pixels, side by side. Each run is in a
separate process; its memory is the peak of that process, including ONNX Runtime and the image.
"""

import argparse
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
from PIL import Image

from keras_wsseg.export import OnnxSegmenter

TILE = 1000


def collage(folder, width, height):
    """`(height, width, 3)` uint8 of the photographs in a folder."""
    paths = [path for path in sorted(pathlib.Path(folder).iterdir()) if path.suffix in (".png", ".jpg")]
    canvas = Image.new("RGB", (width, height))
    places = [(left, top) for top in range(0, height, TILE) for left in range(0, width, TILE)]
    for number, place in enumerate(places):
        with Image.open(paths[number * 7 % len(paths)]) as photograph:
            canvas.paste(photograph.convert("RGB").resize((TILE, TILE), Image.Resampling.BICUBIC), place)
    return np.asarray(canvas)


def run_once(file, image, window, out):
    """Segments an image; writes the mask and prints seconds and the peak of memory in GB."""
    segmenter = OnnxSegmenter(file, providers=["cpu"], window=None if window == "none" else window)
    pixels = np.load(image)
    start = time.perf_counter()
    np.save(out, segmenter(pixels))
    seconds = time.perf_counter() - start
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def main():
    """Prints a table."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("file", help="segmenter for RGB images in [0, 255]")
    parser.add_argument("folder", help="photographs")
    parser.add_argument("--size", default="6000x4000", help="WIDTHxHEIGHT")
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        run_once(arguments.file, *arguments.run)
        return
    width, height = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as place:
        image = f"{place}/image.npy"
        np.save(image, collage(arguments.folder, width, height))
        masks = []
        print(f"| {width}×{height} | time | peak memory |")
        print("|---" * 3 + "|")
        for name, window in (("in windows", "auto"), ("whole", "none")):
            out = f"{place}/{window}.npy"
            command = [sys.executable, __file__, arguments.file, "-", "--run", image, window, out]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            print(f"| {name} | {float(said[-2]):.1f} s | {float(said[-1]):.2f} GB |", flush=True)
            masks.append(np.load(out))
    differing = int((masks[0] != masks[1]).sum())
    print(f"{differing} of {masks[0].size} pixels have another class ({differing / masks[0].size:.2%}).")


if __name__ == "__main__":
    main()
