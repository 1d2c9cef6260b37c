"""The settings that every training has, whatever its method."""

import dataclasses

from keras_wsseg.training.setting import option

METHODS = (
    "gated-crf",
    "dense-crf",
    "normalized-cut",
    "kernel-cut",
    "adm",
    "pce",
    "full",
    "single-class",
    "tags-prior",
    "rrm",
)

CRFS = ("none", "windowed", "dense")

DATA, SEGMENTER, TRAINING, OUTPUT = "data", "segmenter", "training", "output"


@dataclasses.dataclass(frozen=True)
class CommonSettings:
    """What is trained on, what is trained, how long, and what is written: see `TrainingConfig`."""

    data: str = option(DATA, None, "folder with images/ and the annotations")
    annotation: str = option(
        DATA, "scribbles", "sub-folder of annotations; or simulated_clicks, simulated_scribbles from labels/"
    )
    train_split: str | None = option(
        DATA,
        "train",
        "list of the images to train on, <name>.txt in the data folder; none: all annotated ones",
    )
    val_split: str | None = option(
        DATA, "val", "list of the images to score on, which have dense labels in labels/; none: no scores"
    )
    value_range: tuple[float, ...] = option(
        DATA,
        (),
        "lowest and highest value that an image may have, such as 0,4095 for 12 bits in files of 16; needed "
        "for floating point; none: what the files' bits can hold",
    )
    values: tuple[str, ...] = option(
        DATA,
        (),
        "what the values in the annotation files mean, where they are not ids: 0=background,255=cell; "
        "unlabeled and outside are names too",
    )
    label_values: tuple[str, ...] = option(
        DATA, (), "the same of the files in labels/; none: as values, where the training reads labels/ too"
    )
    click_size: int = option(
        DATA, 1, "side of clicks in pixels, odd; for clicks and simulated_clicks", least=1
    )
    stuff_classes: tuple[int, ...] = option(
        DATA, (), "ids of classes whose parts under 256 pixels get no simulated click"
    )
    instances: str | None = option(
        DATA,
        None,
        "sub-folder with a file for each in labels/, numbers of the things in it, 0 unknown: neighbors of "
        "one class get a simulated click each; for simulated_clicks",
    )
    scribble_length: float = option(
        DATA,
        1.0,
        "part of each scribble that is kept, from 1 down to 0, a click; for scribbles, simulated_scribbles",
        least=0,
    )
    labeled_fraction: float = option(
        DATA,
        1.0,
        "part of the annotated images that keep their annotation; the others are trained on without, but "
        "not with pce, full and from tags",
        above=0,
    )
    unlabeled_split: str | None = option(
        DATA,
        None,
        "list of further images, <name>.txt, that need no annotation; not with pce, full and from tags",
    )
    unlabeled_batch: int | None = option(
        DATA,
        None,
        "images without annotation in each batch; none: half of them where there are any",
        least=0,
    )
    group_by: str | None = option(
        DATA, None, "regular expression whose first group, in an image's name, is the volume it belongs to"
    )

    positives: tuple[str, ...] = option(
        DATA, ("images",), "single-class: sub-folders of the images that hold the object"
    )
    object_name: str | None = option(
        DATA,
        None,
        "single-class: what the object is called; none: the second line of classes.txt, else object",
    )
    negatives: tuple[str, ...] = option(
        DATA, (), "single-class: sub-folders of images known not to hold it, for a last stage"
    )
    tags: str = option(
        DATA,
        "tags.csv",
        "tags-prior, rrm: a .csv file of images and their tags; folders: those of the images of each "
        "class; or the folder of label maps whose classes are the tags",
    )

    model: str = option(
        SEGMENTER,
        "unet",
        "kind of segmenter; two-branch is for rrm: the published branch on the features of a backbone",
        ("unet", "deeplabv3plus", "umobilenetv2", "encoder-unet", "vgg16-skip", "two-branch"),
    )
    filters: tuple[int, ...] = option(SEGMENTER, (12, 24, 48, 96), "channels of each level of the U-Net")
    backbone: str = option(
        SEGMENTER,
        "resnet34",
        "encoder of deeplabv3plus, encoder-unet and two-branch: resnet18, resnet34, a name of "
        "keras.applications, or resnet38, not of deeplabv3plus",
    )
    weights: str | None = option(
        SEGMENTER, None, "pretrained encoder, not of unet: imagenet, or a local file"
    )
    encoder: str = option(
        SEGMENTER,
        "auto",
        "of umobilenetv2 and encoder-unet: keep the encoder's weights as they are or train them; auto: keep "
        "pretrained ones, and those that were kept in start_from",
        ("auto", "frozen", "trained"),
    )
    encoder_rate: float = option(
        SEGMENTER,
        1.0,
        "factor of the learning rate in the encoder, such as 0.1 beside pretrained weights; not of unet",
        least=0,
    )
    output_stride: int = option(
        SEGMENTER,
        1,
        "logits at the image's size, at half or at a quarter of it; of rrm the features alone",
        (1, 2, 4),
    )

    method: str = option(
        TRAINING,
        "gated-crf",
        "pce: cross entropy of the annotated pixels alone; gated-crf, dense-crf, normalized-cut, kernel-cut, "
        "adm: that and the loss of this name; full: dense labels; single-class: no label, one object; "
        "tags-prior, rrm: tags of whole images alone",
        METHODS,
    )
    start_from: str | None = option(
        TRAINING, None, "run folder or .keras file of a like segmenter whose weights to start from"
    )
    steps: int = option(
        TRAINING, 400, "training steps; those of single-class follow from the epochs of its stages", least=1
    )
    batch_size: int = option(TRAINING, 8, "images a step", least=1)
    crop: int = option(TRAINING, 144, "side of the training crops in pixels", least=8)
    whole: bool | None = option(
        TRAINING,
        None,
        "train on whole images, resized to the side of the crops, and let the segmenter resize what it is "
        "given; none: so with tags-prior and rrm, and always with single-class",
    )
    scale_low: float = option(TRAINING, 0.8, "smallest random scale of a training image", above=0)
    scale_high: float = option(TRAINING, 1.25, "largest random scale", above=0)
    flip: bool = option(TRAINING, True, "mirror half of the images; not where left and right differ in kind")
    optimizer: str = option(TRAINING, "adam", "optimizer", ("adam", "sgd"))
    learning_rate: float | None = option(
        TRAINING, None, "learning rate of the first step; none: 0.003, single-class 0.001", above=0
    )
    decay: str = option(
        TRAINING,
        "auto",
        "how the learning rate falls to 0: by a polynomial of power 0.9, or not at all; auto: polynomial, "
        "single-class constant",
        ("auto", "polynomial", "constant"),
    )
    weight_decay: float = option(TRAINING, 0.0, "L2 penalty on the convolutions' kernels", least=0)
    class_weights: str = option(
        TRAINING,
        "none",
        "weights of the classes: all equal, or by how rare each is in the batch",
        ("none", "batch"),
    )
    seed: int = option(TRAINING, 0, "seed of weights, order and augmentation", least=0)

    epoch_steps: int | None = option(
        OUTPUT,
        None,
        "steps between two lines of the log and two checkpoints: an epoch; none: 50, single-class one pass "
        "over the images",
        least=1,
    )
    image_every: int = option(OUTPUT, 2, "write images every so many lines of the log; 0: never", least=0)
    score_crf: str = option(
        OUTPUT, "none", "score a second time with a CRF behind the segmenter, see evaluate --crf", CRFS
    )
    tensorboard: bool = option(OUTPUT, False, "write logs and images for TensorBoard too")
