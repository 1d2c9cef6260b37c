import io
import json

import numpy as np
import pytest
from PIL import Image
from service_cases import PALETTE, GatedSegmenter, decoded, noise

from keras_wsseg.serving.answer_format import AnswerFormat
from keras_wsseg.serving.request_error import RequestError


def answer(name, segmenter, image, **options):
    wanted = AnswerFormat(name, **options)
    return wanted.encode(segmenter, image, wanted.segment(segmenter, image))


def test_mask_holds_numbers_and_shows_colors(segmenter):
    image = noise()
    body, media_type = answer("mask", segmenter, image)
    assert media_type == "image/png"
    np.testing.assert_array_equal(decoded(body), segmenter(image))
    shown = np.asarray(Image.open(io.BytesIO(body)).convert("RGB"))
    np.testing.assert_array_equal(shown, np.array(PALETTE)[segmenter(image)])


def test_overlay_and_layer_are_those_of_the_segmenter(segmenter):
    image = noise()
    body, media_type = answer("overlay", segmenter, image, alpha=0.3)
    assert media_type == "image/png"
    np.testing.assert_array_equal(decoded(body), segmenter.overlay(image, 0.3))
    body, media_type = answer("rgba", segmenter, image, alpha=0.3)
    assert media_type == "image/png"
    np.testing.assert_array_equal(decoded(body), segmenter.rgba(segmenter(image), 0.3))


def test_probabilities_are_a_numpy_file(segmenter):
    image = noise()
    body, media_type = answer("probabilities", segmenter, image)
    assert media_type == "application/octet-stream"
    np.testing.assert_array_equal(np.load(io.BytesIO(body)), segmenter.probabilities(image))


def test_json_counts_the_pixels_of_each_class(segmenter):
    body, media_type = answer("json", segmenter, noise())
    assert media_type == "application/json"
    said, mask = json.loads(body), segmenter(noise())
    assert (said["height"], said["width"]) == mask.shape
    assert [one["name"] for one in said["classes"]] == list(segmenter.class_names)
    assert [one["pixels"] for one in said["classes"]] == [int((mask == k).sum()) for k in range(4)]
    assert [one["class"] for one in said["classes"]] == [0, 1, 2, 3]
    assert sum(one["share"] for one in said["classes"]) == pytest.approx(1)


def test_masks_are_those_that_go_to_files(segmenter, tmp_path):
    image = noise()
    segmenter.save_mask(tmp_path / "mask.png", segmenter(image))
    with (
        Image.open(tmp_path / "mask.png") as of_file,
        Image.open(io.BytesIO(answer("mask", segmenter, image)[0])) as sent,
    ):
        assert sent.getpalette() == of_file.getpalette()
        assert len(sent.getpalette()) == 3 * 256


def test_masks_of_many_classes_have_sixteen_bits():
    many = GatedSegmenter()
    many.class_names, many.palette = [str(k) for k in range(300)], np.zeros((300, 3), np.uint8)
    mask = np.array([[0, 299], [255, 256]], np.int32)
    np.testing.assert_array_equal(decoded(AnswerFormat().encode(many, None, mask)[0]), mask)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (
            {"format": "gif"},
            "format must be one of mask, overlay, rgba, probabilities, json. Received: 'gif'",
        ),
        ({"formt": "mask"}, "The query must contain only format= and alpha=. Received: 'formt'"),
        ({"alpha": "0.5"}, "alpha requires format=overlay or format=rgba. Received: format=mask"),
        ({"format": "rgba", "alpha": "1.5"}, "alpha must be 0 to 1. Received: '1.5'"),
        ({"format": "rgba", "alpha": "nan"}, "alpha must be 0 to 1. Received: 'nan'"),
        ({"format": "rgba", "alpha": "x" * 5000}, "alpha must be 0 to 1. Received: 'x{100}'$"),
    ],
)
def test_wrong_queries_are_refused(query, text):
    with pytest.raises(RequestError, match=text) as refused:
        AnswerFormat.from_query(query)
    assert refused.value.status == 400


def test_probabilities_that_a_segmenter_does_not_give_are_refused():
    AnswerFormat("probabilities").check_outputs(("classes", "probabilities"))
    AnswerFormat("mask").check_outputs(("classes",))
    with pytest.raises(RequestError, match="outputs classes only. Received: probabilities") as refused:
        AnswerFormat("probabilities").check_outputs(("classes",))
    assert refused.value.status == 400


def test_probabilities_too_large_to_send_are_refused():
    AnswerFormat("probabilities").check_size((4096, 2048), classes=8)
    AnswerFormat("mask").check_size((4096, 2049), classes=8)
    with pytest.raises(
        RequestError, match="at most 268435456 bytes.* 268566528 bytes for 4096x2049"
    ) as refused:
        AnswerFormat("probabilities").check_size((4096, 2049), classes=8)
    assert refused.value.status == 413
