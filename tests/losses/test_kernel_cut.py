import numpy as np
import pytest
from dense_cases import batch

from keras_wsseg import losses, targets


@pytest.mark.parametrize("cut", ({}, {"cut_sigma_rgb": 0.2, "cut_sigma_xy": 8.0}))
def test_it_is_the_sum_of_the_two(cut):
    labels, guide, logits = batch()
    packed = targets.pack(labels, guide)
    both = losses.KernelCutLoss(weight=0.5, cut_weight=0.7, sigma_rgb=0.4, sigma_xy=3, resolution=1.0, **cut)
    crf = losses.DenseCRFLoss(weight=0.5, sigma_rgb=0.4, sigma_xy=3, resolution=1.0)
    widths = {"sigma_rgb": 0.2, "sigma_xy": 8.0} if cut else {"sigma_rgb": 0.4, "sigma_xy": 3}
    normalized = losses.NormalizedCutLoss(weight=0.5 * 0.7, resolution=1.0, **widths)
    want = float(crf(packed, logits)) + float(normalized(packed, logits))
    np.testing.assert_allclose(float(both(packed, logits)), want, rtol=1e-5)


def test_its_weight_and_the_cuts_own_widths_can_be_annealed_and_travel():
    loss = losses.KernelCutLoss(cut_weight=0.7, cut_sigma_rgb=0.2, cut_sigma_xy=8.0)
    assert {"cut_weight", "cut_sigma_rgb", "cut_sigma_xy"} < set(loss.annealable)
    again = losses.KernelCutLoss.from_config(loss.get_config())
    assert again.get_config() == loss.get_config() and again.cut_sigma_xy == 8.0
    assert "cut_sigma_xy" not in losses.KernelCutLoss().annealable


def test_widths_that_would_do_nothing_are_refused():
    with pytest.raises(AttributeError, match="cut_sigma_rgb can be set only if KernelCutLoss was created"):
        losses.KernelCutLoss().cut_sigma_rgb = 0.1
    loss = losses.KernelCutLoss(cut_sigma_rgb=0.2, cut_sigma_xy=8.0)
    loss.cut_sigma_rgb = 0.1
    assert loss.get_config()["cut_sigma_rgb"] == 0.1


@pytest.mark.parametrize("given", ({"cut_sigma_rgb": 0.1}, {"cut_sigma_xy": 5.0}))
def test_half_a_pair_of_widths_is_refused(given):
    with pytest.raises(ValueError, match="cut_sigma_rgb and cut_sigma_xy must both be given or both be None"):
        losses.KernelCutLoss(**given)
