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
    r"""Learns segmentation from tags in one training: mines labels that it is sure of, and learns from those.

    Two branches on one backbone. The first tells which classes an image holds, and where it looks to tell
    them: its class activation maps, over several scales, with a background made of what no class claims.
    Where the surest part of the maps and a dense CRF on them agree, a pixel is labeled; all others are not.
    The second branch, the segmenter, learns from these labels at once, in the same step,

    `L = L_class + L_ce + L_energy`,

    with the sigmoid cross entropy of the tags, and by default `BalancedCrossEntropy` and `DenseEnergyLoss`.
    Mining runs inside the compiled step, on every backend. Only the segmenter is deployed:
    `export.to_onnx(model.segmenter, path)`.

    `y` is tags, or a dict of tags and labels: see `WeaklySupervisedModel`. Labels that are known, there or as
    plain label maps, are learnt as they are; the tags of a plain label map are the classes in it, and nothing
    is mined, so `evaluate` on label maps is cheap.

    Args:
        num_classes: number of classes, the background, class 0, included; at least 2.
        backbone: `"resnet38"` as published, `"resnet18"`, `"resnet34"`, the name of a network in
            `keras.applications`, or any `keras.Model` from images in `value_range` to features
            `(batch, h, w, channels)`, such as the `feature_extractor` of a segmenter.
        weights: of a backbone that is named: None for random ones, or what it reads, see `DeepLabV3Plus`.
        channels: channels of the images; those of the backbone where it is a model.
        value_range: the values of black and white in the images as they come.
        encoder_stride: pixels of the image to one of the features of a backbone that is named: None for 8
            where the ResNets written here dilate, and for 16 with all others.
        output_stride: 1 for logits of the size of the image, None for those of the features as they are.
        filters: channels between the segmenter's two convolutions. None: those of the features, at most 512.
        dilation: of these convolutions.
        scales: factors of the image's size at which class activation is read.
        background_exponent: exponent of the background, greater than 0: the larger, the less background.
        keep_fraction: of the pixels that the maps give to a class, how many stay, the surest, in (0, 1].
        crf: the CRF with which the labels must agree, see `ReliableRegions`: `"dense"` as published,
            `"windowed"`, which takes a fraction of the time, a `layers.MeanFieldCRF`, or None.
        classification_weight: factor of the tags' cross entropy, at least 0.
        weight_decay: coupled L2 on the convolution kernels that are made here.
        name: name of the model.

    Attributes:
        segmenter: from images to logits, what is deployed.
        classifier: from images to score maps of the classes but the background; their mean over the
            image is the logit of the tag.

    Raises:
        ValueError: if an argument is out of its range.

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

    Source: Zhang, Xiao, Wei, Sun & Huang 2020, "Reliability Does Matter", arXiv:1911.08039. Where it differs
    from the published code, the paper is followed: see `ReliableRegions`. Departures: new layers start from
    He's normal distribution, and the tags are learnt by the sigmoid cross entropy of each class, since
    several classes share an image.
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
        # Without a bias the mean of the scores is what the mean of the features would be given.
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
        """As in Keras; `loss` is what the segmenter learns from mined labels, by default the published one.

        Args:
            optimizer: as in Keras.
            loss: a loss of this library or a sum of them; None for
                `BalancedCrossEntropy() + DenseEnergyLoss()`.
            **kwargs: as in Keras.

        Raises:
            TypeError: if it is anything else.
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
        """The reliable labels of images, as the training sees them now.

        Args:
            images: `(batch, height, width, channels)` in `value_range`.
            tags: `(batch, num_classes)`, 1 for the classes that occur; the background always does.
            labels: None, or `(batch, height, width)`: 254 where there is no image; the class where it is
                known, which stays; else 255.

        Returns:
            Class activation maps `(batch, height, width, num_classes)`, float32 in [0, 1], the background
            first, and labels `(batch, height, width)`, int32: 0 to `num_classes - 1`, 255 where they are not
            reliable, 254 outside the image.
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
                "x must be images (batch, height, width, channels), and y tags (batch, classes) or labels "
                f"beside them. Received: x={type(x).__name__}, y={type(y).__name__}"
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
        """Sigmoid cross entropy of the tags but the background's, its mean over classes and images."""
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
    """Symbolic image and its features."""
    if isinstance(backbone, keras.Model):
        if weights is not None or encoder_stride is not None:
            raise ValueError(
                "`weights` and `encoder_stride` are for a backbone that is named only. "
                f"Received: weights={weights!r}, encoder_stride={encoder_stride} beside a model"
            )
        inputs = keras.Input(backbone.input_shape[1:], dtype="float32", name="image")
        features = backbone(inputs)
        if len(getattr(features, "shape", ())) != 4:
            raise ValueError(
                "`backbone` must give features (batch, height, width, channels). "
                f"Received: {getattr(features, 'shape', type(features).__name__)}"
            )
        return inputs, features
    check_at_least(1, channels=channels)
    if encoder_stride is None:
        encoder_stride = 8 if backbone in _DILATED else 16
    inputs = keras.Input((None, None, channels), dtype="float32", name="image")
    (features,) = encode(inputs, backbone, (encoder_stride,), weights, value_range, weight_decay)
    return inputs, features
