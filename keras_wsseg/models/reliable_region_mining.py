import keras
from keras import ops

from keras_wsseg import targets
from keras_wsseg.arguments import check_number
from keras_wsseg.imaging.labels import PADDING, UNLABELED
from keras_wsseg.layers import ClassActivationMap, ReliableRegions, ResizeLike
from keras_wsseg.losses import BalancedCrossEntropy, DenseEnergyLoss
from keras_wsseg.models.blocks import check_at_least, check_one_of, conv, coupled_l2
from keras_wsseg.models.encoder import encode
from keras_wsseg.models.free_upsampling import free_upsampling
from keras_wsseg.models.resnet import BLOCKS
from keras_wsseg.models.weakly_supervised import WeaklySupervisedModel, labels_and_tags
from keras_wsseg.ops.backend import mean_images

_PUBLISHED_FILTERS = 512
_DILATED = (*BLOCKS, "resnet38")


@keras.saving.register_keras_serializable("keras_wsseg")
class ReliableRegionMining(WeaklySupervisedModel):
    r"""Learns segmentation from image-level tags: mines reliable labels and trains on them in the same step.

    Two branches share a backbone. The first is a classifier of the tags, which also gives class activation
    maps over several scales, with the background where no class is active. A pixel is labeled where the most
    confident part of the maps agrees with a dense CRF on them; all others are unlabeled. The second branch,
    the segmenter, is trained on these labels in the same step,

    `L = L_class + L_ce + L_energy`,

    with the sigmoid cross entropy of the tags, and by default `BalancedCrossEntropy` and `DenseEnergyLoss`.
    Mining runs inside the compiled step, on every backend. Only the segmenter is deployed:
    `export.to_onnx(model.segmenter, path)`.

    `y` is tags, or a dict of tags and labels: see `WeaklySupervisedModel`. Given labels, in such a dict or as
    plain label maps, are used unchanged. The tags of a plain label map are the classes in it, and nothing is
    mined, so `evaluate` on label maps is cheap.

    Args:
        num_classes: number of classes, including the background, class 0; at least 2.
        backbone: `"resnet38"` as published, `"resnet18"`, `"resnet34"`, the name of a network in
            `keras.applications`, or any `keras.Model` from images in `value_range` to features
            `(batch, h, w, channels)`, such as the `feature_extractor` of a segmenter.
        weights: weights of a backbone given by name: None for random weights, or as for `DeepLabV3Plus`.
        channels: channels of the images; ignored if the backbone is a model.
        value_range: the values of black and white in the input images.
        encoder_stride: image pixels per feature of a backbone given by name. None: 8 for the ResNets of this
            library, which dilate, and 16 for all others.
        output_stride: 1 for logits of the image's size, None for logits on the grid of the features.
        filters: channels between the segmenter's two convolutions. None: those of the features, at most 512.
        dilation: dilation of these convolutions.
        scales: factors of the image's size at which class activation maps are computed.
        background_exponent: exponent of the background, greater than 0: the larger, the less background.
        keep_fraction: fraction of the pixels assigned to a class by the maps that is kept, the most confident
            ones, in (0, 1].
        crf: the CRF with which the labels must agree, see `ReliableRegions`: `"dense"` as published,
            `"windowed"`, which takes a fraction of the time, a `layers.MeanFieldCRF`, or None.
        classification_weight: factor of the tags' cross entropy, at least 0.
        weight_decay: coupled L2 on the convolution kernels created here.
        name: name of the model.

    Attributes:
        segmenter: model from images to logits, to be deployed.
        classifier: model from images to score maps of all classes except the background; their mean over the
            image is the logit of the tag.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> import numpy as np
        >>> from keras_wsseg.models import UNet, feature_extractor
        >>> backbone = feature_extractor(UNet(num_classes=1, filters=(4, 8)))
        >>> model = ReliableRegionMining(num_classes=3, backbone=backbone, crf=None, scales=(1.0,))
        >>> model.compile("sgd")
        >>> images = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype("float32")
        >>> tags = np.array([[1, 1, 0], [1, 0, 1]])
        >>> sorted(model.fit(images, tags, verbose=0).history)
        ['balanced_cross_entropy', 'classification', 'dense_energy', 'loss']
        >>> model.predict(images, verbose=0).shape
        (2, 16, 16, 3)

    Source: Zhang, Xiao, Wei, Sun & Huang 2020, "Reliability Does Matter", arXiv:1911.08039. Where paper and
    published code differ, this follows the paper: see `ReliableRegions`. Departures: new layers are
    initialized with He normal, and the tags are trained with the sigmoid cross entropy of each class, since
    an image may contain several classes.
    """

    def __init__(
        self,
        num_classes,
        backbone="resnet38",
        weights=None,
        channels=3,
        value_range=(0, 255),
        encoder_stride=None,
        output_stride=1,
        filters=None,
        dilation=12,
        scales=(0.5, 1.0, 1.5, 2.0),
        background_exponent=4.0,
        keep_fraction=0.4,
        crf="dense",
        classification_weight=1.0,
        weight_decay=0.0,
        name=None,
    ):
        check_at_least(2, num_classes=num_classes)
        check_at_least(1, dilation=dilation, filters=_PUBLISHED_FILTERS if filters is None else filters)
        check_one_of((1, None), output_stride=output_stride)
        check_number("classification_weight", classification_weight, low=0)
        inputs, features = _features(backbone, weights, channels, value_range, encoder_stride, weight_decay)
        regularizer = coupled_l2(weight_decay)
        width = filters or min(features.shape[-1], _PUBLISHED_FILTERS)
        x = conv(
            features, width, 3, "branch", regularizer=regularizer, dilation_rate=dilation, activation="relu"
        )
        x = conv(
            x, num_classes, 3, "logits", regularizer=regularizer, dilation_rate=dilation, dtype="float32"
        )
        if output_stride == 1:
            x = ResizeLike(dtype="float32", name="logits_resize")(x, inputs)
        # Without a bias, the mean of the scores equals the score of the mean features.
        scores = conv(
            features,
            num_classes - 1,
            1,
            "scores",
            regularizer=regularizer,
            use_bias=False,
            dtype="float32",
        )
        segmenter = keras.Model(inputs, x, name="segmenter")
        super().__init__(segmenter=segmenter, value_range=value_range, name=name)
        self.classifier = keras.Model(inputs, scores, name="classifier")
        self._both = keras.Model(inputs, [x, scores], name="branches")
        self._maps = ClassActivationMap(
            self.classifier, scales=scales, background_exponent=background_exponent
        )
        self._regions = ReliableRegions(keep_fraction=keep_fraction, crf=crf, value_range=value_range)
        self.classification_weight = float(classification_weight)
        self._backbone = backbone
        self._settings = {
            "num_classes": num_classes,
            "channels": channels,
            "encoder_stride": encoder_stride,
            "output_stride": output_stride,
            "filters": filters,
            "dilation": dilation,
            "weight_decay": weight_decay,
        }

    def compile(self, optimizer="rmsprop", loss=None, **kwargs):
        """As in Keras; `loss` is the segmenter's loss on mined labels, by default the published one.

        Args:
            optimizer: as in Keras.
            loss: a loss of this library or a sum of them; None for
                `BalancedCrossEntropy() + DenseEnergyLoss()`.
            **kwargs: as in Keras.

        Raises:
            TypeError: if `loss` is anything else.
        """
        super().compile(
            optimizer=optimizer,
            loss=BalancedCrossEntropy() + DenseEnergyLoss() if loss is None else loss,
            **kwargs,
        )
        self._training_state.metrics[_CLASSIFICATION] = keras.metrics.Mean(_CLASSIFICATION)

    def call(self, x, training=None):
        if not training:
            return super().call(x, training=training)
        with free_upsampling(self._both):
            logits, scores = self._both(x, training=training)
        return {"segmentation": logits, "scores": scores}

    def mine(self, images, tags, labels=None):
        """The reliable labels of images, as currently used in training.

        Args:
            images: `(batch, height, width, channels)` in `value_range`.
            tags: `(batch, num_classes)`, 1 for the classes that occur; the background always does.
            labels: None, or `(batch, height, width)`: 254 outside the image; the class where it is known,
                which is kept; else 255.

        Returns:
            Class activation maps `(batch, height, width, num_classes)`, float32 in [0, 1], the background
            first, and labels `(batch, height, width)`, int32: 0 to `num_classes - 1`, 255 where not reliable,
            254 outside the image.
        """
        if labels is None:
            labels = ops.full(ops.shape(images)[:3], UNLABELED, "int32")
        labels = ops.cast(labels, "int32")
        inside = ops.cast(labels != PADDING, "float32")
        tags = ops.cast(tags, "float32")
        with free_upsampling(self.classifier):
            maps = self._maps([images, tags, inside])
        mined = self._regions([maps, images, tags, inside])
        return maps, ops.where(labels == UNLABELED, mined, labels)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        if y is None or not len(getattr(x, "shape", ())) == 4:
            raise ValueError(
                "x must be images (batch, height, width, channels), and y must be tags (batch, classes) or "
                f"labels. Received: x={type(x).__name__}, y={type(y).__name__}"
            )
        if isinstance(y_pred, dict):
            logits, scores = y_pred["segmentation"], y_pred["scores"]
        else:
            with free_upsampling(self.classifier):
                logits, scores = y_pred, self.classifier(x, training=training)
        labels, tags = labels_and_tags(y, x)
        num_classes = self._settings["num_classes"]
        if tags is None:
            tags = targets.read(labels).present(num_classes)
        elif tags.shape[-1] != num_classes:
            raise ValueError(
                f"tags must cover {num_classes} classes, including the background. "
                f"Received: tags of {tags.shape[-1]} classes"
            )
        else:
            _, labels = self.mine(x, tags, labels)
            labels = ops.stop_gradient(labels)
        loss = super().compute_loss(x, labels, logits, sample_weight, training)
        classification = self._classification(scores, tags, sample_weight)
        return loss + self._aggregate_additional_loss(self.classification_weight * classification)

    def _classification(self, scores, tags, sample_weight):
        """Sigmoid cross entropy of all tags except the background, averaged over classes and images."""
        mean = ops.mean(scores, axis=(1, 2))
        wanted = ops.cast(tags[:, 1:], mean.dtype)
        loss = ops.mean(ops.binary_crossentropy(wanted, mean, from_logits=True), axis=-1)
        if sample_weight is not None:
            loss = loss * ops.reshape(ops.cast(sample_weight, loss.dtype), (-1,))
        loss = ops.mean(loss)
        images = mean_images(scores)
        self._training_state.metrics[_CLASSIFICATION].update_state(loss, sample_weight=images)
        return loss

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        logits = y_pred["segmentation"] if isinstance(y_pred, dict) else y_pred
        return super().compute_metrics(x, y, logits, sample_weight)

    def get_config(self):
        backbone = self._backbone
        mining, regions = self._maps.get_config(), self._regions.get_config()
        return {
            **self._settings,
            "backbone": backbone
            if isinstance(backbone, str)
            else keras.saving.serialize_keras_object(backbone),
            "scales": mining["scales"],
            "background_exponent": mining["background_exponent"],
            "keep_fraction": regions["keep_fraction"],
            "crf": regions["crf"],
            "classification_weight": self.classification_weight,
            "value_range": self.value_range,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        if isinstance(config["backbone"], dict):
            backbone = keras.saving.deserialize_keras_object(
                config["backbone"], custom_objects=custom_objects
            )
            config = {**config, "backbone": backbone}
        return cls(**config)


_CLASSIFICATION = "classification"


def _features(backbone, weights, channels, value_range, encoder_stride, weight_decay):
    """Symbolic input image and its features."""
    if isinstance(backbone, keras.Model):
        if weights is not None or encoder_stride is not None:
            raise ValueError(
                "`weights` and `encoder_stride` must be None if `backbone` is a model. "
                f"Received: weights={weights!r}, encoder_stride={encoder_stride}"
            )
        inputs = keras.Input(backbone.input_shape[1:], dtype="float32", name="image")
        features = backbone(inputs)
        if len(getattr(features, "shape", ())) != 4:
            raise ValueError(
                "`backbone` must output features (batch, height, width, channels). "
                f"Received: {getattr(features, 'shape', type(features).__name__)}"
            )
        return inputs, features
    check_at_least(1, channels=channels)
    if encoder_stride is None:
        encoder_stride = 8 if backbone in _DILATED else 16
    inputs = keras.Input((None, None, channels), dtype="float32", name="image")
    (features,) = encode(inputs, backbone, (encoder_stride,), weights, value_range, weight_decay)
    return inputs, features
