"""
From your annotation tool

What the library reads today, what it does not, and the few lines that convert the rest. It never guesses: a
file that could mean two things is refused, in one sentence that names it.

| read as it is | |
|---|---|
| label maps of one channel | class ids in PNG, BMP, TIFF or another lossless format, 1 to 16 bits; NumPy files (`.npy`) |
| label maps with a palette | the index is the id, as in PASCAL VOC; the color is for the eye only |
| masks of other values, such as black and white | `values={0: "background", 255: "cell"}` |
| tags | a CSV, as a list or as a table of 0 and 1 |
| folders per class | `TagFolder(root, tags="folders")`, `ClassFolders(root)` |

**Not read:** COCO JSON (polygons or RLE), LabelMe JSON, the XML of PASCAL VOC and of CVAT, YOLO text
files, label maps painted in RGB colors, JPEG label maps (compression alters ids), DICOM, NIfTI. This guide
converts the most common of them; DICOM and NIfTI want a reader of their own (pydicom, nibabel), whose
arrays you save as `.npy` or 16-bit PNG.
"""

import json
import pathlib

import numpy as np
from PIL import Image, ImageDraw

import keras_wsseg as wsseg
from keras_wsseg import annotations

root = pathlib.Path("set")
for folder in ("images", "scribbles", "clicks", "labels", "masks"):
    (root / folder).mkdir(parents=True, exist_ok=True)
images, labels, class_names = wsseg.data.synthetic_shapes(3, size=64)
for index, image in enumerate(images):
    wsseg.visualization.write_png(root / "images" / f"{index}.png", image)
(root / "classes.txt").write_text("\n".join(class_names))

"""
## Read as they are: ids, palettes, black and white

`write_label_map` writes ids with a palette, so that an image viewer shows the classes.
"""

annotations.write_label_map(root / "labels" / "0.png", labels[0])
print(np.unique(annotations.read_label_map(root / "labels" / "0.png")))

for index, label in enumerate(labels):
    Image.fromarray(np.where(label > 0, 255, 0).astype("uint8")).save(root / "masks" / f"{index}.png")
cells = wsseg.data.SegmentationFolder(
    root, annotation="masks", class_names=("background", "cell"), values={0: "background", 255: "cell"}
)
print(cells.class_names, np.unique(cells.load(0)[1]))

"""
The exports of brush tools, one black and white file for each label, fit the same way. Where 0 means
"nothing drawn", say so: `values={0: "unlabeled", 255: "cell"}`.

## RGB colors

A label map painted in colors is refused, since an anti-aliased border would invent ids. If yours is exact,
map the colors one by one and let any other color be an error:
"""

COLORS = {(0, 0, 0): 0, (255, 0, 0): 1, (0, 255, 0): 2, (255, 255, 255): 255}


def ids_of_colors(painted):
    ids = np.full(painted.shape[:2], 253, "uint8")
    for color, number in COLORS.items():
        ids[(painted == color).all(axis=-1)] = number
    if (ids == 253).any():
        raise ValueError(f"a color that is not listed: {painted[ids == 253][0]}")
    return ids


painted = np.zeros((64, 64, 3), "uint8")
painted[10:30, 10:30] = 255, 0, 0
annotations.write_label_map(root / "labels" / "1.png", ids_of_colors(painted))

"""
## LabelMe: points, strokes, polygons

A point becomes a click, a line strip a scribble, a polygon a filled region. Everything else stays 255.
"""

labelme = {
    "imageHeight": 64,
    "imageWidth": 64,
    "shapes": [
        {"label": "background", "shape_type": "linestrip", "points": [[2, 2], [30, 4], [60, 3]]},
        {"label": "ellipse", "shape_type": "polygon", "points": [[20, 20], [40, 20], [30, 40]]},
        {"label": "ring", "shape_type": "point", "points": [[50, 50]]},
    ],
}
(root / "0.json").write_text(json.dumps(labelme))


def scribbles_of_labelme(path, class_names, width=3):
    found = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    canvas = Image.new("L", (found["imageWidth"], found["imageHeight"]), annotations.UNLABELED)
    pen = ImageDraw.Draw(canvas)
    for shape in found["shapes"]:
        number = class_names.index(shape["label"])
        points = [tuple(point) for point in shape["points"]]
        if shape["shape_type"] == "polygon":
            pen.polygon(points, fill=number)
        elif shape["shape_type"] in ("line", "linestrip"):
            pen.line(points, fill=number, width=width)
        elif shape["shape_type"] == "point":
            pen.point(points, fill=number)
        else:
            raise ValueError(f"{path}: {shape['shape_type']} is not handled")
    return np.array(canvas)


for index in range(3):
    drawn = scribbles_of_labelme(root / "0.json", class_names)
    annotations.write_label_map(root / "scribbles" / f"{index}.png", drawn)
train = wsseg.data.SegmentationFolder(root, annotation="scribbles")
print(len(train), "images with scribbles of", train.class_names)

"""
## COCO: polygons

One label map for each image, smaller objects painted last. What no polygon covers is background, if every
object is annotated; otherwise start from 255. Crowd regions are run lengths, which this leaves unlabeled.
"""

coco = {
    "images": [{"id": 7, "file_name": "2.png", "height": 64, "width": 64}],
    "categories": [{"id": 18, "name": "ellipse"}],
    "annotations": [
        {"image_id": 7, "category_id": 18, "area": 400, "iscrowd": 0, "segmentation": [[5, 5, 25, 5, 25, 25]]}
    ],
}


def labels_of_coco(coco, image_id, class_names, background=0):
    (image,) = (one for one in coco["images"] if one["id"] == image_id)
    names = {one["id"]: one["name"] for one in coco["categories"]}
    canvas = Image.new("L", (image["width"], image["height"]), background)
    pen = ImageDraw.Draw(canvas)
    mine = [one for one in coco["annotations"] if one["image_id"] == image_id and not one["iscrowd"]]
    for one in sorted(mine, key=lambda one: -one["area"]):
        for polygon in one["segmentation"]:
            pen.polygon(polygon, fill=class_names.index(names[one["category_id"]]))
    return np.array(canvas)


annotations.write_label_map(root / "labels" / "2.png", labels_of_coco(coco, 7, class_names))

"""
The categories of a COCO file are tags as well: if you only trust *that* an object is there, train [from
tags](image_tags.md).
"""

tags = {"0": ("ellipse",), "1": ("polygon", "ring"), "2": ()}
annotations.write_tags(root / "tags.csv", tags)
print(wsseg.data.TagFolder(root).tags.tolist())

"""
## Before you train

Opening the folder reads every file and compares sizes, ids and depths. If all is well, look at a few: the
label on the image.
"""

image, label = train.load(0)
seen = wsseg.visualization.overlay(image, np.where(label < 254, label, 0), alpha=0.5)
wsseg.visualization.write_png("seen.png", seen)

"""
[Your data](your-data.md) has the rules for folders, names and lists; [image files](image-files.md) has
every kind of file, wherever it is read.
"""
