import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
import ways

from keras_wsseg import callbacks, losses, metrics, targets
from keras_wsseg.imaging.labels import PADDING
from keras_wsseg.models import WeaklySupervisedModel


def net(channels=3, stride=1, regularizer=None):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((None, None, channels)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(3, 3, padding="same", strides=stride, kernel_regularizer=regularizer),
        ]
    )


def images(seed=0, channels=3, high=255):
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, high, (8, 12, 10, channels)).astype("float32")
    y = rng.choice([0, 1, 2, 254, 255], size=(8, 12, 10), p=[0.1, 0.1, 0.1, 0.1, 0.6])
    return x, y


def test_fit_equals_the_losses_by_hand_and_logs_each_term():
    x, y = images()
    segmenter = net(stride=2)
    model = WeaklySupervisedModel(segmenter)
    crf = losses.GatedCRFLoss(weight=0.3, radius=2)
    model.compile(
        keras.optimizers.SGD(0.0), loss=losses.PartialCrossEntropy() + 2 * crf, metrics=[metrics.MeanIoU(3)]
    )
    logs = {k: v[0] for k, v in model.fit(x, y, batch_size=8, verbose=0).history.items()}
    packed, logits = targets.pack(y, x / 255), segmenter(x)
    cross_entropy = float(losses.PartialCrossEntropy()(packed, logits))
    energy = float(losses.GatedCRFLoss(weight=1, radius=2)(packed, logits))
    assert logs["partial_cross_entropy"] == pytest.approx(cross_entropy, rel=1e-5)
    assert logs["gated_crf"] == pytest.approx(energy, rel=1e-4)
    assert logs["loss"] == pytest.approx(cross_entropy + 0.6 * energy, rel=1e-5)
    assert 0 < logs["mean_iou"] < 1
    evaluated = model.evaluate(x, y, batch_size=8, verbose=0, return_dict=True)
    assert evaluated["gated_crf"] == pytest.approx(energy, rel=1e-4)


def test_terms_add_up_to_the_loss_where_the_last_batch_is_short_and_no_length_is_known():
    x, y = images()
    model = WeaklySupervisedModel(net())
    loss = losses.PartialCrossEntropy() + losses.GatedCRFLoss(weight=1.0, radius=2)
    model.compile(keras.optimizers.SGD(0.0), loss=loss)
    of_known_length = tf.data.Dataset.from_tensor_slices((x, y)).batch(3)
    for data in (of_known_length, of_known_length.filter(lambda *_: True)):
        logs = {name: values[0] for name, values in model.fit(data, verbose=0).history.items()}
        assert logs["loss"] == pytest.approx(logs["partial_cross_entropy"] + logs["gated_crf"], rel=1e-5)


@keras.saving.register_keras_serializable("tests")
class TagsOfTheMean(losses.SegmentationLoss):
    """Squared distance of the tags and the mean prediction over the pixels inside."""

    def energy(self, y_true, y_pred):
        seen = targets.read(y_true)
        inside = keras.ops.cast(seen.labels != PADDING, "float32")[..., None]
        mean = keras.ops.sum(y_pred * inside, axis=(1, 2)) / keras.ops.sum(inside, axis=(1, 2))
        return keras.ops.sum((mean - seen.present(y_pred.shape[-1])) ** 2, axis=-1)


@pytest.mark.parametrize("options", ways.QUICK_MODES)
def test_tags_reach_the_losses_as_rows_dicts_or_read_off_labels(options):
    x, y = images()
    y[:, 3:] = 255
    y[:, 0] = 254
    tags = np.array([[[1, 0, 0][c] or np.any(labels == c) for c in range(3)] for labels in y], "float32")
    segmenter = net()
    model = WeaklySupervisedModel(segmenter)
    model.compile(keras.optimizers.SGD(0.0), TagsOfTheMean(), metrics=[metrics.MeanIoU(3)], **options)
    prediction, inside = np.array(segmenter(x)), (y != 254)[..., None]
    of_all = ((prediction.mean((1, 2)) - tags) ** 2).sum(-1).mean()
    mean = (prediction * inside).sum((1, 2)) / inside.sum((1, 2))
    of_inside = ((mean - tags) ** 2).sum(-1).mean()

    def loss(target, **more):
        return model.fit(x, target, batch_size=8, verbose=0, **more).history

    assert loss(tags)["loss"][0] == pytest.approx(of_all, rel=1e-4)
    both = {"tags": tags, "labels": y}
    assert loss(both)["loss"][0] == pytest.approx(of_inside, rel=1e-4)
    assert loss({"tags": tags})["loss"][0] == pytest.approx(of_all, rel=1e-4)
    history = loss(tags, validation_data=(x, y), validation_batch_size=8)
    assert history["val_loss"][0] == pytest.approx(of_inside, rel=1e-4)
    assert 0 < history["val_mean_iou"][0] < 1


def test_two_terms_of_one_name_are_told_apart():
    x, y = images()
    model = WeaklySupervisedModel(net())
    model.compile("sgd", loss=losses.GatedCRFLoss(radius=1) + losses.GatedCRFLoss(radius=2))
    assert {"gated_crf", "gated_crf_1"} < set(model.fit(x, y, verbose=0).history)


def test_training_lowers_the_loss_and_regularizers_count():
    x, y = images()
    model = WeaklySupervisedModel(net(regularizer=keras.regularizers.L2(0.5)))
    loss = losses.PartialCrossEntropy() + losses.GatedCRFLoss(radius=2)
    model.compile(keras.optimizers.Adam(0.05), loss=loss, run_eagerly=True)
    history = model.fit(x, y, epochs=6, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert history["loss"][0] > history["partial_cross_entropy"][0] + 0.01 * history["gated_crf"][0] + 0.1


def test_dict_inputs_name_the_modalities():
    x, y = images()
    depth = np.random.default_rng(1).uniform(0, 10, (8, 12, 10, 1)).astype("float32")
    image, extra = keras.Input((None, None, 3), name="image"), keras.Input((None, None, 1), name="depth")
    both = keras.layers.Concatenate()([image, extra])
    segmenter = keras.Model({"image": image, "depth": extra}, keras.layers.Conv2D(3, 1)(both))
    model = WeaklySupervisedModel(segmenter, value_range={"image": (0, 255), "depth": (0, 10)})
    kernel = losses.GaussianKernel(sigma_xy=3, sigma_rgb=0.2, sigma_depth=0.3)
    model.compile(keras.optimizers.SGD(0.0), loss=losses.GatedCRFLoss(radius=1, kernels=kernel))
    logs = model.fit({"image": x, "depth": depth}, y, batch_size=8, verbose=0).history
    from keras_wsseg import targets

    guide = np.concatenate([x / 255, depth / 10], -1)
    with targets.guide_layout(rgb=3, depth=1):
        want = losses.GatedCRFLoss(radius=1, kernels=kernel)(
            targets.pack(y, guide), segmenter({"image": x, "depth": depth})
        )
    assert logs["loss"][0] == pytest.approx(float(want), rel=1e-4)


@pytest.mark.any_backend
@pytest.mark.parametrize("options", ways.QUICK_MODES)
def test_labels_that_are_no_class_are_noticed(options):
    x, y = images()
    model = WeaklySupervisedModel(net())
    model.compile("sgd", loss=losses.PartialCrossEntropy(), **options)
    y[3, 2, 2] = 7
    text = "labels must be 0 to 2, the 3 classes of the prediction, 254 or 255. Received: "
    with pytest.raises(ValueError, match=f"{text}7"):
        model.fit(x, y, verbose=0)
    y[3, 2, 2] = -1
    with pytest.raises(ValueError, match=f"{text}-1"):
        model.evaluate(x, y, verbose=0)
    y[3, 2, 2] = 254
    model.fit(x, y, verbose=0)


@pytest.mark.any_backend
@pytest.mark.parametrize("options", ways.QUICK_MODES)
def test_nan_is_nothing_outside_the_image_and_an_error_within(options):
    """A measurement that the segmenter does not read, with a hole."""
    x, y = images()
    depth = np.random.default_rng(1).uniform(0, 10, (8, 12, 10, 1)).astype("float32")
    depth[:, :2, :3], y[:, :2, :3] = np.nan, 254
    image, extra = keras.Input((None, None, 3), name="image"), keras.Input((None, None, 1), name="depth")
    segmenter = keras.Model({"image": image, "depth": extra}, keras.layers.Conv2D(3, 1)(image))
    model = WeaklySupervisedModel(segmenter)
    kernel = losses.GaussianKernel(sigma_xy=3, sigma_rgb=0.2, sigma_depth=0.3)
    crf = losses.GatedCRFLoss(radius=1, kernels=kernel)
    model.compile("sgd", loss=losses.PartialCrossEntropy() + crf, **options)
    history = model.fit({"image": x, "depth": depth}, y, verbose=0).history
    assert np.isfinite(list(history.values())).all() and history["gated_crf"][0] > 0
    depth[0, 5, 5] = np.nan
    with pytest.raises(ValueError, match="depth must be finite wherever labels are not 254. Received: NaN"):
        model.fit({"image": x, "depth": depth}, y, verbose=0)


@pytest.mark.parametrize("jit", (False, True))
def test_images_in_another_range_are_noticed(jit):
    x, y = images()
    model = WeaklySupervisedModel(net())
    model.compile("sgd", loss=losses.PartialCrossEntropy(), jit_compile=jit)
    with pytest.raises(
        ValueError, match=r"image must lie within value_range=\(0, 255\). Received: values from"
    ):
        model.fit(x * 2, y, verbose=0)
    with pytest.raises(ValueError, match=r"must match value_range=\(0, 255\); pass value_range=\(0, 1\)"):
        model.fit(x / 255, y, verbose=0)
    with pytest.raises(ValueError, match="image must lie within"):
        model.evaluate(-x, y, verbose=0)
    model.fit(x, y, verbose=0)
    model.fit(x.astype("uint8"), y, verbose=0)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: WeaklySupervisedModel("unet"), "segmenter must be a keras.Model. Received: str"),
        (
            lambda: WeaklySupervisedModel(net(), value_range=(1, 0)),
            "`value_range` must be two",
        ),
        (lambda: WeaklySupervisedModel(net(), value_range=255), "`value_range` must be two"),
    ],
)
def test_bad_arguments(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_labels_of_another_size_are_an_error():
    x, y = images()
    model = WeaklySupervisedModel(net())
    model.compile("sgd", loss=losses.PartialCrossEntropy())
    with pytest.raises(ValueError, match="labels and guide must have the same height"):
        model.fit(x, y[:, :6], verbose=0)


def test_keras_file_round_trip_goes_on_training(tmp_path):
    x, y = images()
    model = WeaklySupervisedModel(net(), value_range=(0, 255))
    crf = losses.GatedCRFLoss(radius=1)
    model.compile("adam", loss=losses.PartialCrossEntropy() + crf)
    model.fit(x, y, verbose=0, callbacks=[callbacks.WarmUp(crf, 100)])
    assert crf.weight == 0
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert again.loss.terms[1].weight == pytest.approx(0.01)
    assert again.optimizer.iterations == model.optimizer.iterations
    again.fit(x, y, verbose=0)
    bare = keras.models.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(bare.predict(x, verbose=0), model.predict(x, verbose=0))


def test_annealed_numbers_stay_out_of_the_segmenter_and_its_files(tmp_path):
    segmenter = net()
    model = WeaklySupervisedModel(segmenter)
    model.compile("sgd", loss=losses.PartialCrossEntropy() + losses.GatedCRFLoss())
    assert len(model.variables) > len(model.weights) == len(segmenter.weights)
    model.save_weights(tmp_path / "a.weights.h5")
    plain = WeaklySupervisedModel(net())
    plain.load_weights(tmp_path / "a.weights.h5")


@pytest.mark.parametrize("policy", ("mixed_float16", "mixed_bfloat16"))
def test_images_of_16_bits_stay_whole_under_mixed_precision(policy):
    x, y = images(high=65535)
    losses_by_policy = {}
    before = keras.config.dtype_policy()
    for name in ("float32", policy):
        keras.config.set_dtype_policy(name)
        try:
            keras.utils.set_random_seed(0)
            scale, conv = (
                keras.layers.Rescaling(1 / 65535, dtype="float32"),
                keras.layers.Conv2D(3, 3, padding="same"),
            )
            segmenter = keras.Sequential([keras.Input((None, None, 3)), scale, conv])
            model = WeaklySupervisedModel(segmenter, value_range=(0, 65535))
            loss = losses.PartialCrossEntropy() + losses.GatedCRFLoss(radius=2)
            model.compile(keras.optimizers.SGD(0.0), loss=loss, run_eagerly=True)
            losses_by_policy[name] = model.fit(x, y, verbose=0).history["loss"][0]
        finally:
            keras.config.set_dtype_policy(before)
    assert losses_by_policy[policy] == pytest.approx(losses_by_policy["float32"], rel=2e-3)


def eight_by_eight():
    rng = np.random.default_rng(0)
    return rng.uniform(0, 255, (4, 8, 8, 3)).astype("float32"), rng.choice([0, 1, 255], size=(4, 8, 8))


def test_two_replicas():
    x, y = eight_by_eight()
    with ways.two_devices():
        net = keras.Sequential(
            [keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 1, kernel_initializer="zeros")]
        )
        model = WeaklySupervisedModel(net)
        crf = losses.GatedCRFLoss(radius=1, weight=1, normalization="kernel_mass", resolution=1.0)
        model.compile(keras.optimizers.SGD(0.0), loss=losses.PartialCrossEntropy() + crf)
        model.fit(x, y, batch_size=4, verbose=0)
    logs = model.fit(x, y, batch_size=4, verbose=0, callbacks=[callbacks.WarmUp(crf, 0)]).history
    found = [logs[name][0] for name in ("loss", "partial_cross_entropy", "gated_crf")]
    np.testing.assert_allclose(found, [np.log(2) + 0.5, np.log(2), 0.5], rtol=1e-5)


def test_replicas_train_as_one_batch():
    """Losses that are a ratio over the batch take it over all replicas, whoever holds which image."""
    x, y = eight_by_eight()
    # What the replicas hold differs: they see images 0 and 1, and 2 and 3, where no pixel is labeled 1.
    y[0, 2:], y[1, :, 3:], y[2, 0] = 254, 254, 255
    y[2:][y[2:] == 1] = 255
    found = []
    for scope in (contextlib.nullcontext(), ways.two_devices()):
        with scope:
            keras.utils.set_random_seed(0)
            layers = [keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(2, 3, padding="same")]
            net = keras.Sequential([keras.Input((8, 8, 3)), *layers])
            model = WeaklySupervisedModel(net)
            dense = {"resolution": 1.0, "sigma_rgb": 0.3, "sigma_xy": 3.0, "weight": 1.0}
            terms = [
                losses.PartialCrossEntropy(),
                losses.GatedCRFLoss(radius=1, weight=1, normalization="kernel_mass", resolution=1.0),
                losses.DenseCRFLoss(**dense),
                losses.KernelCutLoss(**dense),
                losses.ADMLoss(**dense),
                losses.NeighborhoodLoss(weight=1),
                losses.DenseEnergyLoss(**dense),
                losses.BalancedCrossEntropy(),
                losses.PartialCrossEntropy(class_weights="batch", name="by_frequency"),
            ]
            model.compile(keras.optimizers.SGD(0.5), loss=losses.LossSum(terms))
            logs = model.fit(x, y, batch_size=4, shuffle=False, verbose=0).history
        weights = np.concatenate([np.ravel(w) for w in net.get_weights()])
        found.append(({name: values[0] for name, values in logs.items()}, weights))
    (logs, weights), (replica_logs, replica_weights) = found
    assert len(logs) == 10
    for name, value in logs.items():
        assert replica_logs[name] == pytest.approx(value, rel=1e-4), name
    np.testing.assert_allclose(replica_weights, weights, atol=2e-5)


def test_what_cannot_be_trained_with_is_told():
    x, y = images()
    model = WeaklySupervisedModel(net())
    for loss in ("sparse_categorical_crossentropy", [losses.PartialCrossEntropy()]):
        with pytest.raises(TypeError, match="loss must be a loss of keras_wsseg or a sum of them. Received"):
            model.compile("sgd", loss=loss)
    model.compile("sgd", loss=losses.PartialCrossEntropy())
    with pytest.raises(ValueError, match="y must be labels .* Received: y=None"):
        model.fit(x, verbose=0)
    with pytest.raises(ValueError, match="sample_weight must be one number per image; to exclude pixels"):
        model.fit(x, y, sample_weight=np.ones(y.shape), verbose=0)
    with pytest.raises(
        ValueError, match=r"weighted by PartialCrossEntropy\(class_weights=...\). Received: cl"
    ):
        model.fit(x, y, class_weight={0: 1.0, 1: 2.0}, verbose=0)
    model.fit(x, y, sample_weight=np.ones(len(y)), verbose=0)


@pytest.mark.parametrize(
    ("x_names", "y", "text"),
    [
        (("image",), {"tag": 0}, r"y must contain tags, and optionally labels. Received: y of \['tag'\]"),
        (("image",), None, "y must be labels .* or tags .* Received: y=None"),
        (("image", "tags"), np.ones((8, 3)), "x must not have an input 'tags': pass tags in y"),
        (("image",), np.ones((8, 2)), "tags must cover the 3 classes of the prediction"),
    ],
)
def test_bad_tags(x_names, y, text):
    x, _ = images()
    model = WeaklySupervisedModel(net())
    model.compile("sgd", loss=TagsOfTheMean())
    with pytest.raises(ValueError, match=text):
        model.compute_loss(dict.fromkeys(x_names, x), y, model.segmenter(x))


def test_dark_images_of_whole_numbers_are_no_mistake():
    x, y = images()
    model = WeaklySupervisedModel(net())
    model.compile("sgd", loss=losses.PartialCrossEntropy())
    model.fit((x > 128).astype("float32"), y, verbose=0)


@pytest.mark.any_backend
@pytest.mark.parametrize("options", [*ways.QUICK_MODES, {"steps_per_execution": 2}])
def test_schedules_act_in_every_mode(options):
    """With uniform probabilities the energy over its mass is 1/2, so the loss shows the weight itself."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 255, (8, 12, 10, 3)).astype("float32")
    y = rng.choice([0, 1, 255], size=(8, 12, 10), p=[0.1, 0.1, 0.8])
    flat = keras.layers.Conv2D(2, 3, padding="same", kernel_initializer="zeros")
    model = WeaklySupervisedModel(keras.Sequential([keras.Input((12, 10, 3)), flat]))
    kernel = losses.GaussianKernel(sigma_xy=6, sigma_rgb=1e6)
    crf = losses.GatedCRFLoss(weight=1, radius=1, kernels=kernel, normalization="kernel_mass")
    model.compile(keras.optimizers.SGD(0.0), loss=0 * losses.PartialCrossEntropy() + crf, **options)
    schedules = [
        callbacks.WarmUp(crf, delay_steps=4, ramp_steps=4),
        callbacks.ParameterScheduler(kernel, "sigma_xy", lambda epoch: 1.0 + epoch),
    ]
    fitted = model.fit(x, y, batch_size=1, epochs=3, shuffle=False, verbose=0, callbacks=schedules)
    together = options.get("steps_per_execution", 1)
    want = [sum(min(max((s - s % together - 3) / 5, 0), 1) for s in range(e, e + 8)) / 16 for e in (0, 8, 16)]
    np.testing.assert_allclose(fitted.history["loss"], want, rtol=1e-4)
    np.testing.assert_allclose(fitted.history["gated_crf"], 0.5, rtol=1e-4)
    assert fitted.history["kernel_sigma_xy"] == [1.0, 2.0, 3.0]


def ending_in(activation, classes, dtype=None, **options):
    """The same net with and without its last activation."""
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((None, None, 3)),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(8, 1, activation="relu"),
        keras.layers.Conv2D(classes, 1, activation=activation, dtype=dtype, **options, name="head"),
    ]
    return keras.Sequential(layers)


def learnable(classes):
    """Labels that follow from the brightness of a pixel, some of them unknown."""
    x = np.random.default_rng(0).uniform(0, 255, (8, 12, 10, 3)).astype("float32")
    y = np.digitize(x.mean(-1), [128] if classes < 3 else [100, 150])
    y[:, :2], y[:, -1:] = 255, 254
    return x, y


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    """A model whose layers do not tell what it ends in."""

    def __init__(self, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.net, self.activation = ending_in(None, 3), keras.activations.get(activation)

    def call(self, x):
        return self.activation(self.net(x))


CROSS_ENTROPY = losses.PartialCrossEntropy
TERMS = {
    "cross entropy": lambda **o: CROSS_ENTROPY(**o),
    "with a CRF": lambda **o: CROSS_ENTROPY(**o) + losses.GatedCRFLoss(weight=0.1, radius=1, **o),
    "one of each": lambda **o: CROSS_ENTROPY(**o) + losses.GatedCRFLoss(weight=0.1, radius=1),
}


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("activation", "classes", "from_logits", "terms"),
    [
        ("softmax", 3, True, "cross entropy"),
        ("softmax", 3, False, "with a CRF"),
        ("softmax", 2, False, "one of each"),
        ("sigmoid", 1, True, "with a CRF"),
        ("sigmoid", 1, False, "cross entropy"),
    ],
)
def test_a_last_activation_trains_as_the_logits_before_it(activation, classes, from_logits, terms):
    x, y = learnable(classes)
    found = {}
    for ending in (None, activation):
        model = WeaklySupervisedModel(ending_in(ending, classes))
        loss = TERMS[terms](**({"from_logits": from_logits} if ending else {}))
        scores = [
            metrics.MeanIoU(max(2, classes)),
            metrics.FBeta(max(2, classes), threshold=0.3, from_logits=not ending or from_logits),
        ]
        model.compile(keras.optimizers.Adam(0.1), loss=loss, metrics=scores)
        history = model.fit(x, y, epochs=20, batch_size=8, verbose=0).history
        evaluated = model.evaluate(x, y, batch_size=8, verbose=0, return_dict=True)
        found[ending] = (history["loss"], evaluated, model.predict(x, verbose=0))
    (curve, scores, logits), (same_curve, same_scores, probabilities) = found[None], found[activation]
    assert same_curve[0] == pytest.approx(curve[0], rel=1e-5)
    assert same_curve[-1] == pytest.approx(curve[-1], rel=1e-3)
    assert curve[-1] < 0.7 * curve[0]
    assert scores["mean_iou"] > 0.3
    for name, value in scores.items():
        assert same_scores[name] == pytest.approx(value, rel=1e-3), name
    # What is predicted stays what the brought model says.
    apply = keras.ops.sigmoid if classes == 1 else keras.ops.softmax
    np.testing.assert_allclose(probabilities, apply(logits), atol=1e-3)


@pytest.mark.any_backend
def test_a_sure_softmax_costs_nothing():
    """With a second softmax even certainty costs log(1 + 20 / e) = 2.12 of 21 classes."""
    y = np.random.default_rng(0).integers(0, 21, (2, 6, 5))
    x = np.broadcast_to(y[..., None] * 10.0, (2, 6, 5, 3)).astype("float32")
    image = keras.Input((6, 5, 3))
    # -(10 c - x)² / 10 but for x², which all classes share.
    head = keras.layers.Conv2D(21, 1, activation="softmax")
    model = WeaklySupervisedModel(keras.Model(image, head(image)))
    kernel = np.zeros((1, 1, 3, 21))
    kernel[0, 0, 0] = 2 * np.arange(21)
    head.set_weights([kernel, -10.0 * np.arange(21) ** 2])
    model.compile("sgd", loss=losses.PartialCrossEntropy(), metrics=[metrics.MeanIoU(21)])
    loss, score = model.evaluate(x, y, verbose=0, return_dict=False)[:2]
    assert score == 1.0
    assert loss == pytest.approx(20 / 21 * 2 * np.exp(-10), abs=1e-4)


@pytest.mark.any_backend
def test_a_model_that_does_not_tell_is_taken_at_its_losses_word():
    x, y = learnable(3)
    want = WeaklySupervisedModel(ending_in(None, 3))
    want.compile("sgd", loss=losses.PartialCrossEntropy(), metrics=[metrics.FBeta(3, threshold=0.3)])
    want = want.evaluate(x, y, verbose=0, return_dict=True)
    model = WeaklySupervisedModel(Subclassed("softmax"))
    assert model.yields_probabilities is None
    model.compile(
        "sgd", loss=losses.PartialCrossEntropy(from_logits=False), metrics=[metrics.FBeta(3, threshold=0.3)]
    )
    assert model.yields_probabilities is True
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    assert found == {name: pytest.approx(value, rel=1e-4) for name, value in want.items()}


@pytest.mark.any_backend
@pytest.mark.parametrize("options", ways.QUICK_MODES)
def test_a_softmax_that_nothing_tells_of_is_noticed(options):
    x, y = learnable(3)
    model = WeaklySupervisedModel(Subclassed("softmax"))
    model.compile("sgd", loss=losses.PartialCrossEntropy(), **options)
    text = "must have from_logits=False if the segmenter outputs probabilities. Received: from_l"
    with pytest.raises(ValueError, match=text):
        model.fit(x, y, verbose=0)
    with pytest.raises(ValueError, match=text):
        model.evaluate(x, y, verbose=0)
    model = WeaklySupervisedModel(Subclassed())
    model.compile("sgd", loss=losses.PartialCrossEntropy(), **options)
    model.fit(x, y, verbose=0)


@pytest.mark.any_backend
def test_one_channel_has_labels_of_two_classes():
    x, y = learnable(1)
    y[0, 5, 5] = 2
    model = WeaklySupervisedModel(ending_in("sigmoid", 1))
    model.compile("sgd", loss=losses.PartialCrossEntropy())
    with pytest.raises(ValueError, match="labels must be 0 to 1, the 2 classes of the prediction"):
        model.fit(x, y, verbose=0)


@pytest.mark.any_backend
def test_contradictions_about_the_last_activation_are_told():
    mixed = losses.PartialCrossEntropy() + losses.GatedCRFLoss(from_logits=False)
    model = WeaklySupervisedModel(ending_in(None, 3))
    text = "ends in logits, here those of 'head'. Received: from_logits=False of gated_crf"
    with pytest.raises(ValueError, match=text):
        model.compile("sgd", loss=mixed)
    model = WeaklySupervisedModel(Subclassed())
    text = "does not determine .* from_logits=True of partial_cross_entropy, from_logits=False of gated_crf"
    with pytest.raises(ValueError, match=text):
        model.compile("sgd", loss=mixed)
    with pytest.raises(ValueError, match="Received: sigmoid of 2 channels in its last layer 'head'"):
        WeaklySupervisedModel(ending_in("sigmoid", 2))
    half = keras.DTypePolicy("mixed_float16")
    with pytest.raises(ValueError, match="dtype=.float32. in its last layer. Received: 'head' in float16"):
        WeaklySupervisedModel(ending_in("softmax", 3, dtype=half))
    late = WeaklySupervisedModel(keras.Sequential([keras.layers.Conv2D(3, 1, name="head")]))
    late.compile("sgd", loss=losses.PartialCrossEntropy(from_logits=False))
    with pytest.raises(ValueError, match="here those of 'head'. Received: from_logits=False of part"):
        late.fit(*learnable(3), verbose=0)


def test_round_trip_of_a_model_that_ends_in_a_softmax(tmp_path):
    x, y = learnable(3)
    model = WeaklySupervisedModel(ending_in("softmax", 3))
    model.compile("sgd", loss=losses.PartialCrossEntropy())
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.yields_probabilities is True
    assert again.evaluate(x, y, verbose=0) == pytest.approx(model.evaluate(x, y, verbose=0), rel=1e-5)
