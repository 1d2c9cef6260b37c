"""Run folders of version 0.1, whose settings were flat and had names of their own."""

from keras_wsseg.imaging.label_values import parse_values
from keras_wsseg.training.signatures import parameters

_TERMS = {
    "gated-crf": "GatedCRFLoss",
    "dense-crf": "DenseCRFLoss",
    "normalized-cut": "NormalizedCutLoss",
    "kernel-cut": "KernelCutLoss",
    "adm": "ADMLoss",
    "rrm": "DenseEnergyLoss",
}
_SEGMENTERS = {
    "unet": "UNet",
    "deeplabv3plus": "DeepLabV3Plus",
    "umobilenetv2": "UMobileNetV2",
    "encoder-unet": "EncoderUNet",
    "vgg16-skip": "VGG16Skip",
}
# What the gated CRF's kernel was where nothing was said, in cells of its grid.
_GATED_SIGMA_XY = 6.0


def from_former(flat):
    """The fields of `TrainingConfig` out of the settings of a training of version 0.1.

    Args:
        flat: dict, as its `config.json` holds it.

    Returns:
        dict of the fields.

    Raises:
        KeyError: if it is no such dict.
    """
    method = flat["method"]
    mode = flat["whole"]
    if method == "single-class" or mode is None:
        mode = method in ("single-class", "tags-prior", "rrm")
    constant = flat["decay"] == "constant" or (flat["decay"] == "auto" and method == "single-class")
    rate = flat["learning_rate"] or (1e-3 if method == "single-class" else 3e-3)
    optimizer = _part("SGD", momentum=0.9) if flat["optimizer"] == "sgd" else _part("Adam")
    optimizer["config"]["learning_rate"] = rate
    loss = _loss(flat)
    warms_up = any(term["class_name"] not in ("PartialCrossEntropy", "AdaptivePriorLoss") for term in loss)
    return {
        "data": _data(flat),
        "validation": _validation(flat),
        "segmenter": _segmenter(flat),
        "loss": loss,
        "optimizer": optimizer,
        "schedule": None if constant else _part("PolynomialDecay", end_learning_rate=0.0, power=0.9),
        "warm_up": _part("WarmUp", delay_steps=flat["warm_up"], ramp_steps=flat["ramp"])
        if warms_up and method != "single-class"
        else None,
        "stages": _part(
            "SingleClassStages",
            initial_sigma_rgb=flat["first_sigma"],
            **_taken(flat, "annealing_epochs", "normal_epochs", "annealing_weight", "reset_optimizer"),
        )
        if method == "single-class"
        else None,
        "image_size": flat["crop"],
        "mode": "resize" if mode else "crop",
        "scale": (flat["scale_low"], flat["scale_high"]),
        "unlabeled_batch": flat["unlabelled_batch"],
        "steps_per_epoch": flat["epoch_steps"],
        "images_every": flat["picture_every"],
        "score_crf": None if flat["score_crf"] == "none" else flat["score_crf"],
        **_taken(flat, "steps", "batch_size", "flip", "seed", "start_from", "encoder_rate"),
        **_taken(flat, "negative_batch", "negative_epochs", "tensorboard", "group_by"),
    }


def _part(class_name, **config):
    return {"class_name": class_name, "config": config}


def _taken(flat, *names):
    return {name: flat[name] for name in names}


def _data(flat):
    common = {"root": flat["data"], "split": flat["train_split"], "value_range": flat["value_range"] or None}
    if flat["method"] == "single-class":
        named = {"object_name": flat["object_name"]} if flat["object_name"] else {}
        return _part("SingleClassFolder", **common, **named, **_taken(flat, "positives", "negatives"))
    values = parse_values(flat["values"])
    if flat["method"] in ("tags-prior", "rrm"):
        return _part("TagFolder", **common, tags=flat["tags"], values=values)
    annotation = "labels" if flat["method"] == "full" else flat["annotation"]
    taken = _taken(flat, "click_size", "stuff_classes", "instances", "scribble_length")
    defaults = parameters("data", "SegmentationFolder")[0]
    if annotation == "labels":
        taken = {name: defaults[name].default for name in taken}
        values = parse_values(flat["label_values"]) or values
    return _part(
        "SegmentationFolder",
        **common,
        annotation=annotation,
        values=values,
        labeled_fraction=flat["labelled_share"],
        unlabeled_split=flat["unlabelled_split"],
        **taken,
    )


def _validation(flat):
    if flat["val_split"] is None:
        return None
    return _part("SegmentationFolder", split=flat["val_split"], values=parse_values(flat["label_values"]))


def _segmenter(flat):
    if flat["method"] != "rrm":
        return _network(flat)
    if flat["model"] == "two-branch":
        backbone = _taken(flat, "backbone", "weights")
    else:
        backbone = {"backbone": _network(flat)}
    return _part(
        "ReliableRegionMining",
        **backbone,
        **_taken(flat, "dilation", "classification_weight", "weight_decay"),
        scales=flat["cam_scales"],
        background_exponent=flat["background_gamma"],
        keep_fraction=flat["reliable_share"],
        crf=None if flat["mining_crf"] == "none" else flat["mining_crf"],
    )


def _network(flat):
    config = _taken(flat, "output_stride", "weight_decay")
    if flat["model"] == "unet":
        config["filters"] = flat["filters"]
    else:
        config["weights"] = flat["weights"]
    if flat["model"] in ("deeplabv3plus", "encoder-unet"):
        config["backbone"] = flat["backbone"]
    if flat["model"] in ("umobilenetv2", "encoder-unet"):
        config["frozen"] = {"auto": None, "frozen": True, "trained": False}[flat["encoder"]]
    return _part(_SEGMENTERS[flat["model"]], **config)


def _loss(flat):
    method = flat["method"]
    given = {"weight": flat["crf_weight"], "sigma_xy": flat["sigma_xy"], "sigma_rgb": flat["sigma_rgb"]}
    dense = {"landmarks": flat["landmarks"], "filter_method": flat["dense_method"]}
    if method == "single-class":
        taken = _taken(flat, "volumetric_weight", "positional_weight", "negative_weight")
        taken |= _taken(flat, "small_reduction", "border", "center")
        sizes = {"target_fraction": flat["object_share"], "sigma_rgb": flat["sigma_rgb"]}
        return [_part("SingleClassLoss", **taken, **_given(crf_weight=flat["crf_weight"], **sizes))]
    if method == "tags-prior":
        fractions = {
            "min_background_fraction": flat["prior_background"],
            "min_object_fraction": flat["prior_object"],
        }
        terms = [_part("AdaptivePriorLoss", **fractions)]
        if flat["neighborhood"] != "none":
            terms.append(_neighborhood(flat, dense))
        return terms
    if method == "rrm":
        return [
            _part("BalancedCrossEntropy"),
            _part("DenseEnergyLoss", resolution=flat["loss_scale"], **dense, **_given(**given)),
        ]
    weights = None if flat["class_weights"] == "none" else flat["class_weights"]
    terms = [_part("PartialCrossEntropy", class_weights=weights)]
    if method in ("pce", "full"):
        return terms
    resolution = flat["loss_scale"]
    if method == "gated-crf":
        # Its grid was relative to that of the prediction, and its kernel's width in cells of it.
        resolution /= flat["output_stride"]
        given["sigma_xy"] = (flat["sigma_xy"] or _GATED_SIGMA_XY) / resolution
        further = _taken(flat, "radius", "normalization", "gate_source", "gate_destination", "gate_padding")
    elif method == "kernel-cut":
        further = _given(
            cut_weight=flat["gamma"],
            cut_sigma_xy=flat["cut_sigma_xy"],
            cut_sigma_rgb=flat["cut_sigma_rgb"],
        )
    else:
        further = {"coupling": flat["adm_strength"], "iterations": flat["adm_iterations"]}
        further = further if method == "adm" else {}
    further = further if method == "gated-crf" else {**further, **dense}
    return [*terms, _part(_TERMS[method], resolution=resolution, **further, **_given(**given))]


def _neighborhood(flat, dense):
    radius, variant = flat["neighborhood_radius"], flat["neighborhood"]
    wide = {"weight": 10.0, "sigma_xy": 80.0, "sigma_rgb": 13 / 255}
    wide |= _given(sigma_xy=flat["sigma_xy"], sigma_rgb=flat["sigma_rgb"])
    kernels = [
        {"class_name": "GaussianKernel", "config": one} for one in (wide, {"weight": 3.0, "sigma_xy": 3.0})
    ]
    return _part(
        "NeighborhoodLoss",
        variant=variant,
        sharpness=1.0 if variant == "mean" else flat["sharpness"],
        kernels=kernels,
        radius=radius,
        **({**dense, "filter_method": "auto"} if radius else dense),
        **_given(weight=flat["crf_weight"]),
    )


def _given(**values):
    return {name: value for name, value in values.items() if value is not None}
