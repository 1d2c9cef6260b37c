import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
import ways

from keras_wsseg import callbacks, losses, metrics
from keras_wsseg.export import OnnxSegmenter, to_onnx
from keras_wsseg.layers import MeanFieldCRF
from keras_wsseg.models import ReliableRegionMining, UNet, feature_extractor


def backbone(channels=3):
    keras.utils.set_random_seed(0)
    return feature_extractor(UNet(1, filters=(4, 8), channels=channels))


def model_of(**options):
    keras.utils.set_random_seed(1)
    options = {"scales": (0.5, 1.0), "crf": None, "dilation": 2, "backbone": backbone(), **options}
    return ReliableRegionMining(3, **options)


def tagged(seed=0, count=4):
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 255, (count, 16, 12, 3)).astype("float32")
    tags = np.array([[1, 1, 0], [1, 0, 1], [1, 1, 1], [1, 0, 0]], "float32")
    return x, np.resize(tags, (count, 3))


def outputs(model, x):
    return np.array(model.segmenter(x, training=False)), np.array(model.classifier(x, training=False))


def classification_by_hand(scores, tags):
    mean = scores.mean((1, 2)).astype("float64")
    p = 1 / (1 + np.exp(-mean))
    return -(tags[:, 1:] * np.log(p) + (1 - tags[:, 1:]) * np.log(1 - p)).mean()


def cross_entropy_by_hand(logits, labels):
    logits = logits.astype("float64")
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    total = 0.0
    for chosen in (labels == 0, (labels > 0) & (labels < 254)):
        if chosen.any():
            total -= np.take_along_axis(log_p, np.minimum(labels, 2)[..., None], -1)[..., 0][chosen].mean()
    return total


@pytest.mark.any_backend
@pytest.mark.parametrize("options", ways.QUICK_MODES)
def test_the_loss_is_the_three_terms_on_the_labels_mined_from_the_same_weights(options):
    x, tags = tagged()
    model = model_of()
    model.compile(keras.optimizers.SGD(0.0), metrics=[metrics.MeanIoU(3)], **options)
    # In inference mode: batch normalization would make another prediction of training.
    model.segmenter.trainable = model.classifier.trainable = False
    logits, scores = outputs(model, x)
    maps, labels = (np.array(found) for found in model.mine(x, tags))
    logs = {name: values[0] for name, values in model.fit(x, tags, batch_size=4, verbose=0).history.items()}
    assert logs["classification"] == pytest.approx(classification_by_hand(scores, tags), rel=1e-4)
    assert logs["balanced_cross_entropy"] == pytest.approx(cross_entropy_by_hand(logits, labels), rel=1e-3)
    want = sum(logs[name] for name in ("classification", "balanced_cross_entropy"))
    want += losses.DenseEnergyLoss().weight * logs["dense_energy"]
    assert logs["loss"] == pytest.approx(want, rel=1e-4)
    assert (labels != 255).mean() > 0.3 and set(np.unique(labels)) <= {0, 1, 2, 255}
    # What is not tagged is neither seen nor labeled.
    assert not np.any(labels[0] == 2) and maps[0, ..., 2].max() == 0 and maps[..., 0].max() <= 1 + 1e-6


def test_some_steps_lower_the_loss():
    x, tags = tagged()
    model = model_of()
    model.compile(keras.optimizers.Adam(5e-3), losses.BalancedCrossEntropy(), run_eagerly=True)
    history = model.fit(x, tags, batch_size=4, epochs=8, verbose=0).history
    for name in ("loss", "classification"):
        assert history[name][-1] < 0.95 * history[name][0], name


def test_a_brought_backbone_that_resizes_trains_on_images_of_any_size():
    layers = [
        keras.Input((None, None, 3)),
        keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
        keras.layers.UpSampling2D(2, interpolation="bilinear"),
    ]
    model = model_of(backbone=keras.Sequential(layers))
    model.compile(keras.optimizers.SGD(0.0), losses.BalancedCrossEntropy())
    x, tags = tagged()
    # Tags are mined, and label maps need the scores alone.
    labels = np.random.default_rng(0).integers(0, 3, (4, 16, 12))
    for y, shape in ((tags, (None, 3)), (labels, (None, None, None))):
        expected = model.evaluate(x, y, return_dict=True, verbose=0)["loss"]
        spec = (tf.TensorSpec((None, None, None, 3)), tf.TensorSpec(shape, y.dtype))
        free = tf.data.Dataset.from_generator(lambda y=y: iter([(x, y)]), output_signature=spec)
        logs = model.fit(free, validation_data=free, verbose=0).history
        assert logs["val_loss"] == [pytest.approx(expected, rel=1e-4)]


@pytest.mark.slow
def test_the_tags_alone_teach_where_things_are():
    """Bright discs, dark discs, both or none: which is which is said by tags alone."""
    rng = np.random.default_rng(0)
    count, size = 48, 24
    truth = np.zeros((count, size, size), int)
    rows, columns = np.mgrid[:size, :size]
    for number in range(count):
        for kind in (1, 2):
            if number % 4 & kind:
                y, x = rng.uniform(6, 18, 2)
                truth[number][(rows - y) ** 2 + (columns - x) ** 2 < 30] = kind
    images = np.array([120, 220, 20])[truth][..., None] + rng.normal(0, 8, (*truth.shape, 3))
    images = np.clip(images, 0, 255).astype("float32")
    tags = np.stack([(truth == kind).any((1, 2)) for kind in range(3)], -1).astype("float32")
    tags[:, 0] = 1
    keras.utils.set_random_seed(0)
    model = model_of(scales=(1.0,), crf=MeanFieldCRF(3, iterations=3, from_logits=False))
    cross_entropy, energy = losses.BalancedCrossEntropy(), losses.DenseEnergyLoss(resolution=1.0)
    model.compile(keras.optimizers.Adam(5e-3), cross_entropy + energy, metrics=[metrics.MeanIoU(3)])
    schedule = [callbacks.WarmUp(term, delay_steps=60, ramp_steps=20) for term in (cross_entropy, energy)]
    model.fit(images, tags, batch_size=8, epochs=70, verbose=0, callbacks=schedule)
    scores = model.evaluate(images, truth, verbose=0, return_dict=True)
    assert scores["mean_iou"] > 0.6
    only_background = (truth == 0).mean() / 3
    assert only_background < 0.35


def test_what_is_known_of_pixels_stays_and_what_is_outside_teaches_nothing():
    x, tags = tagged()
    labels = np.full(x.shape[:3], 255)
    labels[:, :4], labels[:, 4:6] = 2, 254
    model = model_of()
    _, mined = model.mine(x, tags, labels)
    mined = np.array(mined)
    np.testing.assert_array_equal(mined[:, :6], labels[:, :6])
    assert set(np.unique(mined[:, 6:])) <= {0, 1, 2, 255} and (mined[:, 6:] < 3).any()


def test_what_is_outside_does_not_scale_the_maps():
    """Scores that follow brightness, and the brightest pixels outside."""
    inputs = keras.Input((None, None, 3))
    model = model_of(backbone=keras.Model(inputs, keras.layers.Identity()(inputs)), scales=(1.0,))
    model.classifier.get_layer("scores").set_weights([np.ones((1, 1, 3, 2))])
    x, tags = np.full((1, 8, 8, 3), 100, "float32"), [[1, 1, 0]]
    x[:, 4:6] = 200
    labels = np.full((1, 8, 8), 255)
    whole = np.array(model.mine(x, tags, labels)[0])[0, ..., 1]
    labels[:, 4:6] = 254
    inside = np.array(model.mine(x, tags, labels)[0])[0, ..., 1]
    np.testing.assert_allclose(whole[:4], 0.5, atol=1e-5)
    np.testing.assert_allclose(inside[:4], 1.0, atol=1e-5)


def test_label_maps_are_learnt_as_they_are():
    x, _ = tagged()
    y = np.random.default_rng(1).choice([0, 1, 2, 254, 255], x.shape[:3])
    model = model_of()
    model.compile("sgd", losses.PartialCrossEntropy(), metrics=[metrics.MeanIoU(3)])
    scores = model.evaluate(x, y, batch_size=4, verbose=0, return_dict=True)
    logits, by_class = outputs(model, x)
    tags = np.array([[1, np.any(labels == 1), np.any(labels == 2)] for labels in y], float)
    assert scores["classification"] == pytest.approx(classification_by_hand(by_class, tags), rel=1e-4)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    labeled = y < 3
    want = -np.log(np.take_along_axis(p, np.minimum(y, 2)[..., None], -1)[..., 0][labeled]).mean()
    assert scores["partial_cross_entropy"] == pytest.approx(want, rel=1e-4)
    assert scores["mean_iou"] > 0


@pytest.mark.any_backend
def test_class_scores_learn_from_the_tags_alone():
    """The cross entropy of mined labels reaches the shared features, but never the maps' own weights."""
    x, tags = tagged()
    model = model_of(classification_weight=0.0, weight_decay=0.0)
    model.compile(keras.optimizers.SGD(1.0), losses.BalancedCrossEntropy())
    before = [np.array(weight) for weight in model.classifier.get_layer("scores").weights]
    logits_before = np.array(model.segmenter.get_layer("logits").kernel)
    model.fit(x, tags, verbose=0)
    for weight, was in zip(model.classifier.get_layer("scores").weights, before, strict=True):
        np.testing.assert_array_equal(np.array(weight), was)
    assert np.abs(np.array(model.segmenter.get_layer("logits").kernel) - logits_before).max() > 0


def test_mining_leaves_the_running_statistics_alone():
    x, tags = tagged()
    model = model_of()
    before = [np.array(weight) for weight in model.non_trainable_variables]
    model.mine(x, tags)
    for weight, was in zip(model.non_trainable_variables, before, strict=True):
        np.testing.assert_array_equal(np.array(weight), was)


def test_sample_weights_weigh_images():
    x, tags = tagged()
    model = model_of()
    model.compile(keras.optimizers.SGD(0.0))
    logits, scores = outputs(model, x)
    weight = np.array([1.0, 0.0, 0.0, 0.0], "float32")
    loss = model.compute_loss(x, tags, {"segmentation": logits, "scores": scores}, weight)
    found = model.get_metrics_result()["classification"]
    assert float(found) == pytest.approx(classification_by_hand(scores[:1], tags[:1]) / 4, rel=1e-4)
    assert np.isfinite(float(loss))


@pytest.mark.parametrize(
    "crf",
    ("dense", None, MeanFieldCRF(2, iterations=2, from_logits=False)),
    ids=("dense", "none", "windowed"),
)
def test_keras_file_round_trip(tmp_path, crf):
    x, tags = tagged()
    model = model_of(crf=crf, background_exponent=3.0, keep_fraction=0.5, filters=6)
    model.compile("adam", run_eagerly=True)
    model.fit(x, tags, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    configs = [{**one.get_config(), "backbone": None, "crf": None} for one in (loaded, model)]
    assert (
        configs[0] == configs[1] and configs[0]["background_exponent"] == 3.0 and configs[0]["filters"] == 6
    )
    np.testing.assert_allclose(loaded.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)
    for found, wanted in zip(loaded.mine(x, tags), model.mine(x, tags), strict=True):
        np.testing.assert_allclose(np.array(found), np.array(wanted), atol=1e-4)
    loaded.fit(x, tags, verbose=0)


@pytest.mark.parametrize("policy", ("mixed_float16", "mixed_bfloat16"))
def test_half_precision_stays_finite(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = model_of(crf=MeanFieldCRF(2, iterations=2, from_logits=False))
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile(keras.optimizers.SGD(1e-3), run_eagerly=True)
    x, tags = tagged()
    history = model.fit(x, tags, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert model.predict(x, verbose=0).dtype == np.float32


@pytest.mark.parametrize(("output_stride", "size"), ((1, (16, 12)), (None, (2, 2))))
@pytest.mark.usefixtures("narrow_encoders")
def test_a_named_backbone(output_stride, size):
    model = model_of(backbone="resnet18", output_stride=output_stride, scales=(1.0,), weight_decay=1e-3)
    x, tags = tagged()
    model.compile("sgd", run_eagerly=True)
    assert model.predict(x, verbose=0).shape == (4, *size, 3)
    assert np.isfinite(model.fit(x, tags, verbose=0).history["loss"]).all()


def test_the_segmenter_alone_becomes_an_onnx_file_with_a_crf_behind_it(tmp_path):
    x, tags = tagged()
    model = model_of()
    model.compile("sgd", run_eagerly=True)
    model.fit(x, tags, verbose=0)
    image = np.random.default_rng(5).uniform(0, 255, (21, 34, 3)).astype("float32")
    refined = MeanFieldCRF(2, iterations=2)([model.segmenter.output, model.segmenter.input])
    segmenter = keras.Model(model.segmenter.input, refined)
    to_onnx(segmenter, tmp_path / "segmenter.onnx")
    found = OnnxSegmenter(tmp_path / "segmenter.onnx").probabilities(image)
    want = keras.ops.softmax(segmenter(image[None]))[0]
    np.testing.assert_allclose(found, np.array(want), atol=1e-4)


def test_replicas_count_the_tags_once():
    found = []
    for scope in (contextlib.nullcontext(), ways.two_devices()):
        with scope:
            # The features are those of inference, so that no statistics of a replica's images come in.
            model = model_of()
            for layer in model.segmenter.layers:
                layer.trainable = layer.name in ("branch", "logits")
            model.compile(keras.optimizers.SGD(0.5), losses.BalancedCrossEntropy())
            x, tags = tagged()
            logs = model.fit(x, tags, batch_size=4, shuffle=False, verbose=0).history
            scores = np.ravel(model.classifier.get_layer("scores").kernel)
        found.append(({name: values[0] for name, values in logs.items()}, scores))
    (logs, scores), (replica_logs, replica_scores) = found
    for name, value in logs.items():
        assert replica_logs[name] == pytest.approx(value, rel=1e-4), name
    np.testing.assert_allclose(replica_scores, scores, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: ReliableRegionMining(1), "`num_classes` must be an integer of at least 2. Received: num"),
        (lambda: model_of(dilation=0), "`dilation` must be an integer of at least 1"),
        (lambda: model_of(keep_fraction=0.0), "`keep_fraction` must"),
        (lambda: model_of(background_exponent=-1.0), "`background_exponent` must"),
        (lambda: model_of(scales=()), "`scales` must"),
        (lambda: model_of(output_stride=2), "`output_stride` must be one of 1, None. Received: output_str"),
        (
            lambda: model_of(classification_weight=-1),
            "`classification_weight` must be a number of at least 0",
        ),
        (
            lambda: model_of(weights="imagenet"),
            "`weights` and `encoder_stride` must be None if `backbone` is a model",
        ),
        (lambda: model_of(backbone="resnet99"), "`backbone` must be .* Received: backbone='resnet99'"),
    ],
)
def test_bad_arguments(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_a_backbone_must_give_features():
    flat = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    with pytest.raises(ValueError, match=r"`backbone` must output features .* Received: \(None, 192\)"):
        model_of(backbone=flat)


@pytest.mark.parametrize(
    ("x", "y", "text"),
    [
        (tagged()[0], None, "x must be images .* and y must be tags .* Received: x=ndarray, y=NoneType"),
        ({"image": tagged()[0]}, tagged()[1], "x must be images .* Received: x=dict, y=ndarray"),
        (tagged()[0], np.ones((4, 2)), "tags must cover 3 classes, .* Received: tags of 2 classes"),
    ],
)
def test_what_cannot_be_learnt_from_is_told(x, y, text):
    model = model_of()
    model.compile("sgd")
    with pytest.raises(ValueError, match=text):
        model.compute_loss(x, y, np.zeros((4, 16, 12, 3), "float32"))
