"""Creates a data folder for experiments with tags: crops of densely labeled scenes, some of their classes,
and tags.

    python benchmarks/tagged_crops.py camvid --classes sky,tree,car --out streets

Crops differ in their classes, while whole scenes contain all. A crop is tagged with the classes that cover at
least `--min-pixels` of it; all other classes are background. The label maps are for evaluation and full
supervision; training from tags reads only `tags.csv`.
"""

import argparse
import pathlib

import numpy as np
from PIL import Image

from keras_wsseg.annotations import UNLABELED, read_label_map, tags_of_labels, write_label_map, write_tags
from keras_wsseg.data.listing import files_by_stem, read_lines
from keras_wsseg.imaging.suffixes import IMAGE_SUFFIXES


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=pathlib.Path, help="folder with images/, labels/, lists and classes.txt")
    parser.add_argument("--classes", required=True, help="names of the classes to learn, with commas")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--crop", type=int, default=128, help="side of a crop in pixels")
    parser.add_argument("--size", type=int, default=64, help="side to which it is resized")
    parser.add_argument("--train-crops", type=int, default=4, help="crops of an image to train on")
    parser.add_argument("--val-crops", type=int, default=2, help="crops of an image to score on")
    parser.add_argument("--min-pixels", type=float, default=0.08, help="share of a crop that makes a tag")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    known = read_lines(options.data / "classes.txt")
    names = ("background", *options.classes.split(","))
    # Everything that is not asked for is background, and what is unlabeled stays so.
    ids = np.zeros(256, "uint8")
    ids[UNLABELED] = UNLABELED
    for number, name in enumerate(names[1:], start=1):
        ids[known.index(name)] = number

    for folder in ("images", "labels"):
        (options.out / folder).mkdir(parents=True)
    images = files_by_stem(options.data, "images", IMAGE_SUFFIXES)
    random, tags, background, scored = np.random.default_rng(options.seed), {}, 0, 0
    for split, count in (("train", options.train_crops), ("val", options.val_crops)):
        written = []
        for name in read_lines(options.data / f"{split}.txt"):
            image = Image.open(images[name]).convert("RGB")
            labels = ids[read_label_map(options.data / "labels" / f"{name}.png")]
            for number in range(count):
                written.append(f"{name}_{number}")
                row, column = (random.integers(0, size - options.crop + 1) for size in labels.shape)
                box = (column, row, column + options.crop, row + options.crop)
                crop = labels[row : row + options.crop, column : column + options.crop]
                if split == "train":
                    found = tags_of_labels(crop, len(names), min_pixels=options.min_pixels)
                    tags[written[-1]] = [tag for tag, there in zip(names, found, strict=True) if there][1:]
                size = (options.size, options.size)
                image.crop(box).resize(size, Image.BOX).save(options.out / f"images/{written[-1]}.png")
                crop = np.array(Image.fromarray(crop).resize(size, Image.NEAREST))
                write_label_map(options.out / f"labels/{written[-1]}.png", crop)
                if split == "val":
                    background += np.sum(crop == 0)
                    scored += np.sum(crop != UNLABELED)
        (options.out / f"{split}.txt").write_text("".join(f"{name}\n" for name in written))
    write_tags(options.out / "tags.csv", tags)
    (options.out / "classes.txt").write_text("".join(f"{name}\n" for name in names))
    for name in names[1:]:
        share = np.mean([name in given for given in tags.values()])
        print(f"{name}: in {100 * share:.0f} % of {len(tags)} images")
    print(f"everything taken for background: mean IoU {100 * background / scored / len(names):.1f}")


if __name__ == "__main__":
    main()
