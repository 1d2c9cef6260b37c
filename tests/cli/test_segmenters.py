import numpy as np
import pytest
from brought_models import ENDINGS, brought, keras_says

from keras_wsseg.cli.segmenters import load_segmenter


@pytest.mark.parametrize("name", ENDINGS)
def test_a_brought_model_says_what_keras_says(name, tmp_path):
    model, image = brought(name), np.random.default_rng(0).uniform(0, 255, (9, 7, 3))
    model.save(tmp_path / "a.keras")
    expected = keras_says(model, image[None].astype("float32"))[0]
    segmenter = load_segmenter(tmp_path / "a.keras")
    assert len(segmenter.class_names) == expected.shape[-1]
    np.testing.assert_allclose(segmenter.probabilities(image), expected, atol=1e-5)
    np.testing.assert_array_equal(segmenter(image), expected.argmax(-1))
    weights = np.exp(segmenter.logits(image))
    np.testing.assert_allclose(weights / weights.sum(-1, keepdims=True), expected, atol=1e-5)
