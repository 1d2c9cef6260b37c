"""
One class without labels

Images that hold one kind of object each are enough: no pixel is labeled. A sparse CRF lets the object end
where colors change, and priors on its size and place rule out the two trivial results, everything and
nothing (Veksler 2020). The training has stages, and this guide walks through them.
"""

import keras
import numpy as np

import keras_wsseg as wsseg
from keras_wsseg import callbacks, losses, metrics, models

keras.utils.set_random_seed(0)

"""
## The data

On disk: `images/`, each with the object, and where there are any `others/` without it:
`wsseg.data.SingleClassFolder(root, negatives="others", object_name="horse")`. In memory, the labels are
255 everywhere.
"""

images, labels, class_names = wsseg.data.synthetic_object(32, size=48)
others, _, _ = wsseg.data.synthetic_object(16, size=48, seed=1, present=False)
unlabeled = np.full_like(labels, 255)
data = wsseg.data.SegmentationArrays(images, unlabeled, class_names=class_names, negatives=others)

"""
## Net, loss, stages

The object is taken in whole images, resized to one size, since its share of the image is what the prior
knows. `with_input_size` puts the resizing inside the model, so that the deployed file takes any size. The
published net is `models.UMobileNetV2(2, weights="imagenet")` at 128 pixels.

`SingleClassLoss` has the published weights by default. **From scratch, three things differ**: the weight
of the CRF must be smaller (here 3 in place of 100), the expected share near the true one, and the net so
shallow that it cannot see where a pixel lies.
"""

SIZE = 48
segmenter = models.with_input_size(models.UNet(2, filters=(8, 16)), SIZE)
loss = losses.SingleClassLoss(crf_weight=3.0, target_fraction=0.3)
stages = callbacks.SingleClassStages(loss, annealing_epochs=2, normal_epochs=2)
model = wsseg.WeaklySupervisedModel(segmenter)
model.compile(keras.optimizers.Adam(1e-3), loss=loss)

"""
In the annealing stage sigma grows from small to its own value at a small weight of the CRF, so that the
object can grow before the CRF holds it to the colors. `CollapseWarning` says in the log when one label
takes nearly all pixels. Published: 15 epochs of annealing, 50 normal ones.
"""

shown = list(images[:4])
warning = callbacks.CollapseWarning(shown, class_names=class_names)
batches = data.train(batch_size=8, image_size=SIZE, mode="resize")
model.fit(batches, epochs=stages.negative_epoch, callbacks=[stages, warning], verbose=2)

"""
## Images known not to hold the object

They join in last, `negative_batch` of them in each batch; `NegativeLoss` asks for background everywhere in
them.
"""

first, more = stages.negative_epoch, 2
batches = data.train(batch_size=12, image_size=SIZE, mode="resize", negative_batch=4)
model.fit(batches, initial_epoch=first, epochs=first + more, callbacks=[stages], verbose=2)

"""
## On at a higher resolution

A net trained at one size goes on at twice the size from the same weights, in the normal stage, without
annealing: `annealing_epochs=0`.
"""

finer = models.with_input_size(models.UNet(2, filters=(8, 16)), 2 * SIZE)
models.copy_weights(segmenter, finer)

"""
## Scores

F with β² = 0.3 over all pixels and the Jaccard index are the paper's measures.
"""

f_beta, jaccard = metrics.FBeta(), metrics.Jaccard(per_image=True)
logits = segmenter.predict(images.astype("float32"), verbose=0)
f_beta.update_state(labels, logits)
jaccard.update_state(labels, logits)
print(f"F {float(f_beta.result()):.3f}, Jaccard {float(jaccard.result()):.3f}")

"""
Look at the masks, not at F alone: an ellipse in the middle of every image scores well on such data.
`callbacks.AnnealingImages` films the annealing. For several classes from sorted images, a net for each
class and one segmenter trained on their masks, there is `keras-wsseg class-by-class`, in Python
`training.train_class_by_class`.

[What it does on horses](../results/one-class.md) and [the equations](../method/single-class.md).
"""
