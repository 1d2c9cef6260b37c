"""The page in headless Chromium: its masks are those of Python, and nobody is left without an answer."""

import contextlib
import functools
import http.server
import io
import os
import shutil
import threading

import numpy as np
import pytest
from image_kinds import KINDS, SEVERAL, TRANSPARENT, refusal
from onnx import helper
from PIL import Image, ImageCms
from web_cases import smooth_image, write_segmenter

from keras_wsseg.export import OnnxSegmenter, to_onnx, to_web
from keras_wsseg.export.web_runtime import CDN, FILES, find_runtime
from keras_wsseg.layers import MeanFieldCRF

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

# `--no-sandbox`: containers run as root, where Chromium has no sandbox.
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
SEEN = """() => {
    const { width, height } = document.getElementById("image");
    const image = document.getElementById("image").getContext("2d").getImageData(0, 0, width, height);
    return { size: [height, width], rgba: Array.from(image.data) };
}"""
DONE = "#save-mask:enabled, #error:not([hidden])"
DROP = """([name, data, target]) => {
    const transfer = new DataTransfer();
    if (data) transfer.items.add(new File([Uint8Array.from(data)], name));
    const options = { dataTransfer: transfer, clipboardData: transfer, bubbles: true, cancelable: true };
    const kind = target === "paste" ? ClipboardEvent : DragEvent;
    document.getElementById("title").dispatchEvent(new kind(target, options));
}"""
ALPHA = """(pixel) => {
    const { width, height } = document.getElementById("mask");
    const image = document.getElementById("mask").getContext("2d").getImageData(0, 0, width, height);
    return image.data[4 * pixel + 3];
}"""
RESULT = """() => ({
    classes: Array.from(segmenterResult.classes),
    probabilities: segmenterResult.probabilities && Array.from(segmenterResult.probabilities),
})"""


class Server(http.server.ThreadingHTTPServer):
    """Serves one folder, isolated from other origins if asked to."""

    def __init__(self, folder, isolated=False):
        class Handler(http.server.SimpleHTTPRequestHandler):
            def end_headers(self):
                if isolated:
                    self.send_header("Cross-Origin-Opener-Policy", "same-origin")
                    self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
                super().end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=os.fspath(folder)))
        self.url = f"http://127.0.0.1:{self.server_port}/"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture(scope="session")
def web_runtime():
    try:
        return find_runtime("download")
    except ConnectionError as error:
        pytest.skip(f"ONNX Runtime Web is neither in the cache nor to be had: {error}")


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture
def show(browser, web_runtime, tmp_path):
    """Writes a page for a file, serves and opens it; keeps what the page asked for and complained of."""
    with contextlib.ExitStack() as stack:

        def show(path, isolated=False, runtime=None, change=None, before=None, **options):
            folder = tmp_path / "page"
            to_web(path, folder, runtime=runtime or web_runtime, **options)
            if change is not None:
                change(folder)
            return stack.enter_context(opened(browser, folder, isolated, before))

        yield show


@pytest.fixture(scope="module")
def page(browser, web_runtime, tmp_path_factory):
    """One page for many images: to open another costs a second."""
    folder = tmp_path_factory.mktemp("page")
    path = write_segmenter(folder / "segmenter.onnx")
    to_web(path, folder / "page", runtime=web_runtime)
    with opened(browser, folder / "page") as page:
        page.segmenter = OnnxSegmenter(path)
        yield page


@contextlib.contextmanager
def opened(browser, folder, isolated=False, before=None):
    with contextlib.ExitStack() as stack:
        server = Server(folder, isolated)
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        context = stack.enter_context(browser.new_context(viewport={"width": 1000, "height": 700}))
        context.set_default_timeout(60_000)
        page = context.new_page()
        page.asked, page.complaints = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("console", lambda said: page.complaints.append(said.text))
        if before is not None:
            before(page)
        page.base = server.url
        page.goto(server.url)
        yield page


def save(path, image, **options):
    Image.fromarray(image).save(path, **options)
    return path


def segment(page, path):
    """Chooses an image; returns class map and probabilities, or None, as flat arrays."""
    page.set_input_files("#file", path)
    page.locator(DONE).first.wait_for()
    assert page.locator("#error").is_hidden(), page.inner_text("#error")
    made = page.evaluate(RESULT)
    probabilities = made["probabilities"]
    return np.array(made["classes"]), None if probabilities is None else np.array(probabilities)


def complaint(page):
    page.locator("#error:not([hidden])").wait_for()
    return page.inner_text("#error")


FORMS = {
    "float32": {},
    "uint8": {"input_dtype": "uint8"},
    "classes alone": {"outputs": ("classes",), "input_dtype": "uint8"},
    "probabilities alone": {"outputs": ("probabilities",)},
    "gray": {"channels": 1, "outputs": ("classes", "probabilities")},
    "gray uint8": {"channels": 1, "input_dtype": "uint8", "outputs": ("probabilities",)},
    "unit range": {"value_range": (0.0, 1.0)},
    "signed range": {"value_range": (-1.0, 1.0)},
    "many classes": {"classes": 300, "outputs": ("classes",)},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_masks_are_those_of_python(show, tmp_path, form):
    path = write_segmenter(tmp_path / "segmenter.onnx", **form)
    segmenter = OnnxSegmenter(path)
    image = smooth_image(37, 53, segmenter.channels)
    page = show(path)
    classes, probabilities = segment(page, save(tmp_path / "image.png", image))
    low, high = segmenter.value_range
    values = image if (low, high) == (0, 255) else image / np.float32(255) * (high - low) + low
    assert len(np.unique(classes)) > 1
    assert np.mean(classes == segmenter(values).ravel()) >= 0.999
    assert (probabilities is None) == ("probabilities" not in form.get("outputs", "probabilities"))
    if probabilities is not None:
        np.testing.assert_allclose(probabilities, segmenter.probabilities(values).ravel(), atol=1e-4)
    assert page.complaints == []


def test_file_out_of_keras(show, onnx_file, tmp_path):
    check_probabilities(show(onnx_file), onnx_file, tmp_path)


def test_file_with_all_that_comes_behind_the_network(show, tiny_segmenter, tmp_path):
    path = tmp_path / "segmenter.onnx"
    crf = MeanFieldCRF(radius=3, iterations=2)
    to_onnx(tiny_segmenter(), path, crf=crf, tta={"flip": True}, input_dtype="uint8")
    page = show(path)
    check_probabilities(page, path, tmp_path)
    assert "mean field, 7x7 window" in page.locator("#about").text_content()


def check_probabilities(page, path, folder):
    image = smooth_image(61, 45)
    classes, probabilities = segment(page, save(folder / "image.png", image))
    segmenter = OnnxSegmenter(path)
    assert np.mean(classes == segmenter(image).ravel()) >= 0.999
    np.testing.assert_allclose(probabilities, segmenter.probabilities(image).ravel(), atol=1e-4)


def test_pixels_are_those_that_pillow_reads(page, tmp_path):
    """Color profiles and indexed colors, which browsers and Pillow may read in their own ways."""
    image = smooth_image(30, 40)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # Red shows as green: whoever applies this profile sees other colors.
    profile = profile.replace(b"rXYZ", b"....").replace(b"gXYZ", b"rXYZ").replace(b"....", b"gXYZ")
    indexed = Image.fromarray(image).quantize(16)
    indexed.save(tmp_path / "indexed.png")
    files = [
        (save(tmp_path / "profile.png", image, icc_profile=profile), image),
        (tmp_path / "indexed.png", np.asarray(indexed.convert("RGB"))),
        (save(tmp_path / "gray.png", image[..., 0]), np.dstack([image[..., 0]] * 3)),
    ]
    for file, seen in files:
        classes, _ = segment(page, file)
        np.testing.assert_array_equal(classes, page.segmenter(seen).ravel(), err_msg=file.name)
        assert page.locator("#notes").is_hidden()


PYTHON = "OnnxSegmenter in Python and keras-wsseg predict"
DEEP = f"has 16 bits per channel, which browsers truncate to 8; {PYTHON} support it"
INKS = f"is a CMYK image, which browsers convert by color management; {PYTHON} support it"
OTHER_KIND = f"is not a PNG, JPEG, WebP, GIF or BMP image; {PYTHON} support more formats"
UNREADABLE = "is not an image that this browser can read"
GLASS = "has transparent pixels: flatten it onto a background first"
REFUSED = {TRANSPARENT: GLASS, SEVERAL: "contains several images, but must contain one"}
# What the page refuses of all that the rule for image files knows, since browsers do not give it exactly.
NOT_IN_BROWSERS = {"more than 8 bits": DEEP, "CMYK": INKS, "no format of browsers": OTHER_KIND}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_image_files_of_every_kind(page, tmp_path, kind):
    path = tmp_path / kind.file_name
    kind.write(path)
    why = refusal(kind, "page")
    if why is not None:
        page.set_input_files("#file", path)
        assert complaint(page) == f"{kind.file_name} {(NOT_IN_BROWSERS | REFUSED)[why]}."
        return
    classes, _ = segment(page, path)
    seen = page.evaluate(SEEN)
    seen = np.array(seen["rgba"], "uint8").reshape(*seen["size"], 4)
    assert seen.shape == (*kind.expected.shape[:2], 4)
    assert np.abs(seen[..., :3].astype(int) - kind.expected).max() <= kind.tolerance
    np.testing.assert_array_equal(classes, page.segmenter(seen[..., :3]).ravel())
    assert page.locator("#notes").is_hidden()


def test_a_transparent_pixel_is_found_in_an_image_that_is_scaled_down(show, tmp_path):
    glass = np.full((130, 200, 4), 255, "uint8")
    glass[-1, -1, 3] = 254
    page = show(write_segmenter(tmp_path / "segmenter.onnx"), max_pixels=100)
    page.set_input_files("#file", save(tmp_path / "glass.png", glass))
    assert complaint(page) == f"glass.png {GLASS}."
    glass[-1, -1, 3] = 255
    segment(page, save(tmp_path / "opaque.png", glass))


def test_colors_become_gray_as_in_pillow(show, tmp_path):
    gray = write_segmenter(tmp_path / "gray.onnx", channels=1)
    image = smooth_image(20, 30)
    page = show(gray)
    _, probabilities = segment(page, save(tmp_path / "image.png", image))
    assert "the colors were converted to gray" in page.inner_text("#notes")
    seen = np.asarray(Image.fromarray(image).convert("L"))
    np.testing.assert_allclose(probabilities, OnnxSegmenter(gray).probabilities(seen).ravel(), atol=1e-6)


@pytest.mark.parametrize("name", ["phone.png", "phone.webp"])
def test_masks_and_overlays_stand_upright(page, tmp_path, name):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(smooth_image(24, 32))
    image.save(tmp_path / name, exif=exif, lossless=True)
    classes, _ = segment(page, tmp_path / name)
    seen = np.asarray(image.rotate(-90, expand=True))
    np.testing.assert_array_equal(classes.reshape(32, 24), page.segmenter(seen))
    page.fill("#opacity", "30")
    overlay = np.asarray(saved(page, "#save-overlay").convert("RGB")).astype(int)
    assert np.abs(overlay - page.segmenter.overlay(seen, alpha=0.3)).max() <= 2


WINDOWS = {
    "overlapping": ({}, (132, 176)),
    "overlapping classes": ({"outputs": ("classes",)}, (132, 176)),
    "overlapping probabilities": ({"outputs": ("probabilities",), "channels": 1}, (132, 176)),
    "uneven": ({"input_dtype": "uint8"}, (101, 103)),
    "of the very size": ({}, (32, 48)),
    "smaller": ({}, (20, 100)),
    "mirrored many times": ({"outputs": ("probabilities",)}, (1, 5)),
    "fixed height": ({"width": "width"}, (70, 53)),
    "fixed width": ({"height": "height", "outputs": ("classes",)}, (53, 101)),
}


@pytest.mark.parametrize(("form", "size"), WINDOWS.values(), ids=WINDOWS)
def test_file_of_fixed_size_runs_in_the_windows_of_python(show, tmp_path, form, size):
    # Each window is seen against its mean, so that it shows in the mask where it begins and ends.
    nodes = [
        helper.make_node("Constant", [], ["sides"], value_ints=[1, 2]),
        helper.make_node("ReduceMean", ["float", "sides"], ["mean"]),
        helper.make_node("Sub", ["float", "mean"], ["centered"]),
    ]
    path = write_segmenter(
        tmp_path / "segmenter.onnx", **{"height": 32, "width": 48, "batch": 1, "nodes": nodes, **form}
    )
    segmenter = OnnxSegmenter(path)
    image = smooth_image(*size, segmenter.channels)
    page = show(path)
    classes, probabilities = segment(page, save(tmp_path / "image.png", image))
    assert np.mean(classes == segmenter(image).ravel()) >= 0.999
    if probabilities is not None:
        np.testing.assert_allclose(probabilities, segmenter.probabilities(image).ravel(), atol=1e-4)
    assert page.locator("#notes").is_hidden()
    assert page.complaints == []


@pytest.mark.parametrize("form", [{}, {"height": 16, "width": 12}], ids=["any size", "fixed"])
def test_scaled_images_give_masks_of_full_size(show, tmp_path, form):
    path = write_segmenter(tmp_path / "segmenter.onnx", **form)
    page = show(path, max_pixels=400)
    image = np.zeros((37, 60, 3), "uint8")
    image[:, 30:] = 255
    classes, _ = segment(page, save(tmp_path / "image.png", image))
    assert page.inner_text("#notes").startswith("Scaled from 60 × 37 to 25 × 15 pixels")
    width, height = 25, 15
    mask = saved(page, "#save-mask")
    assert mask.size == (60, 37)
    rows, columns = (
        (2 * np.arange(full) + 1) * small // (2 * full) for full, small in ((37, height), (60, width))
    )
    np.testing.assert_array_equal(np.asarray(mask), classes.reshape(height, width)[rows][:, columns])
    # Away from what the scaling blurs, each half has the class that it has in full.
    whole = np.full((37, 60, 3), 255, "uint8")
    assert np.asarray(mask)[18, 50] == OnnxSegmenter(write_segmenter(tmp_path / "any.onnx"))(whole)[18, 50]
    assert saved(page, "#save-overlay").size == (60, 37)


def saved(page, button):
    with page.expect_download() as download:
        page.click(button)
    with open(download.value.path(), "rb") as file:
        image = Image.open(io.BytesIO(file.read()))
    image.info["name"] = download.value.suggested_filename
    return image


def test_saved_mask_and_overlay_are_those_of_python(show, tmp_path):
    path = write_segmenter(tmp_path / "segmenter.onnx")
    image = smooth_image(33, 47)
    segmenter = OnnxSegmenter(path)
    page = show(path)
    segment(page, save(tmp_path / "größe 1.png", image))
    mask = saved(page, "#save-mask")
    segmenter.save_mask(tmp_path / "mask.png", segmenter(image))
    with Image.open(tmp_path / "mask.png") as expected:
        np.testing.assert_array_equal(np.asarray(mask), np.asarray(expected))
        colors = 3 * len(segmenter.palette)
        assert mask.getpalette()[:colors] == expected.getpalette()[:colors]
    assert mask.mode == "P" and mask.info["name"] == "größe 1_mask.png"
    page.fill("#opacity", "30")
    overlay = saved(page, "#save-overlay")
    assert overlay.info["name"] == "größe 1_overlay.png"
    expected = segmenter.overlay(image, alpha=0.3).astype(int)
    assert np.abs(np.asarray(overlay.convert("RGB")).astype(int) - expected).max() <= 2


def test_masks_of_many_classes_keep_their_numbers(show, tmp_path):
    path = write_segmenter(tmp_path / "segmenter.onnx", classes=300, outputs=("classes",))
    image = smooth_image(40, 60)
    page = show(path)
    segment(page, save(tmp_path / "image.png", image))
    expected = OnnxSegmenter(path)(image)
    assert expected.max() > 255
    np.testing.assert_array_equal(np.asarray(saved(page, "#save-mask")), expected)


def test_legend_tells_shares_and_hides_classes(show, tmp_path):
    names = ["road", "<b>sky</b>", "tree", "never"]
    path = write_segmenter(tmp_path / "segmenter.onnx", names=names)
    image = smooth_image(40, 60)
    page = show(path)
    classes, _ = segment(page, save(tmp_path / "image.png", image))
    counts = np.bincount(classes, minlength=4)
    order = [number for number in np.argsort(-counts, kind="stable") if counts[number]]
    assert page.locator("#classes .name").all_inner_texts() == [names[number] for number in order]
    assert page.locator("#classes .share").first.inner_text() == f"{counts.max() / classes.size:.1%}".replace(
        "%", " %"
    )
    first = order[0]
    where = np.flatnonzero(classes == first)[0]
    other = int(np.flatnonzero(classes == order[1])[0])
    box = page.get_by_label(names[first])
    assert page.evaluate(ALPHA, int(where)) == 255
    box.focus()
    page.keyboard.press("Space")
    page.evaluate("document.activeElement.blur()")
    assert (page.evaluate(ALPHA, int(where)), page.evaluate(ALPHA, other)) == (0, 255)
    page.get_by_label(names[order[1]]).hover()
    assert (page.evaluate(ALPHA, int(where)), page.evaluate(ALPHA, other)) == (40, 255)
    page.mouse.move(1, 1)
    assert (page.evaluate(ALPHA, int(where)), page.evaluate(ALPHA, other)) == (0, 255)


def test_pointer_tells_class_and_probability(page, tmp_path):
    image = smooth_image(40, 60)
    segment(page, save(tmp_path / "image.png", image))
    box = page.locator("#mask").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 20.5 / 60, box["y"] + box["height"] * 10.5 / 40)
    number = page.segmenter(image)[10, 20]
    best = page.segmenter.probabilities(image)[10, 20].max()
    assert page.inner_text("#pointer") == f"class {number}, probability {best:.1%}".replace("%", " %")


def test_files_that_are_no_images(show, tmp_path):
    good = save(tmp_path / "good.png", smooth_image(20, 30))
    page = show(write_segmenter(tmp_path / "segmenter.onnx", classes=20))
    for name, data, reason in [
        ("notes.txt", b"no image", OTHER_KIND),
        ("empty.png", b"", OTHER_KIND),
        ("cut.png", good.read_bytes()[:60], UNREADABLE),
        ("frameless.jpg", b"\xff\xd8\xff\xe0\0\4  ", UNREADABLE),
    ]:
        (tmp_path / name).write_bytes(data)
        segment(page, good)
        assert page.locator("#absent").is_visible()
        page.set_input_files("#file", tmp_path / name)
        assert complaint(page) == f"{name} {reason}."
        assert page.locator("#absent").is_hidden()
        assert page.locator("#classes .name").all_inner_texts() == [f"class {number}" for number in range(20)]
        assert set(page.locator("#classes .share").all_inner_texts()) == {""}
        assert page.locator("#stage").is_hidden() and page.locator("#save-mask").is_disabled()
    segment(page, good)
    assert page.locator("#stage").is_visible()


@pytest.mark.parametrize("target", ["drop", "paste"])
def test_dropped_and_pasted_images(page, tmp_path, target):
    segment(page, save(tmp_path / "other.png", smooth_image(10, 10, seed=1)))
    image = smooth_image(20, 30)
    good = save(tmp_path / "good.png", image)
    page.evaluate(DROP, ["good.png", list(good.read_bytes()), target])
    page.locator(DONE).first.wait_for()
    np.testing.assert_array_equal(page.evaluate(RESULT)["classes"], page.segmenter(image).ravel())


def test_dropping_a_text_is_answered(show, tmp_path):
    page = show(write_segmenter(tmp_path / "segmenter.onnx"))
    page.get_by_text("Ready:").wait_for()
    page.evaluate(DROP, ["", None, "drop"])
    assert complaint(page) == "Only files can be dropped: save the image first."


def test_newest_image_wins(show, tmp_path):
    path = write_segmenter(tmp_path / "segmenter.onnx", classes=20)
    first, last = smooth_image(1000, 1500), smooth_image(20, 30, seed=1)
    page = show(path, max_pixels=2_000_000)
    page.evaluate(
        """() => {
            window.told = [];
            const status = document.getElementById("status");
            new MutationObserver(() => told.push(status.textContent)).observe(status, { childList: true });
        }"""
    )
    page.set_input_files("#file", save(tmp_path / "first.png", first))
    page.get_by_text("Segmenting 1500 × 1000 pixels").wait_for()
    page.set_input_files("#file", save(tmp_path / "last.png", last))
    page.get_by_text("30 × 20 pixels in").wait_for()
    np.testing.assert_array_equal(page.evaluate(RESULT)["classes"], OnnxSegmenter(path)(last).ravel())
    assert not any(text.startswith("1500 × 1000 pixels in") for text in page.evaluate("told"))


def test_an_image_that_fails_leaves_the_page_working(show, tmp_path):
    nodes = [
        helper.make_node("Constant", [], ["eight"], value_ints=[1, 8, 8, 3]),
        helper.make_node("Reshape", ["float", "eight"], ["eight_by_eight"]),
    ]
    path = write_segmenter(tmp_path / "segmenter.onnx", nodes=nodes)
    image = smooth_image(8, 8)
    page = show(path)
    page.set_input_files("#file", save(tmp_path / "large.png", smooth_image(20, 30)))
    said = complaint(page)
    assert said.startswith("The segmenter failed on this image of 30 × 20 pixels: ") and "ERROR" not in said
    assert said.endswith(".") and not said.endswith("..")
    classes, _ = segment(page, save(tmp_path / "good.png", image))
    np.testing.assert_array_equal(classes, OnnxSegmenter(path)(image).ravel())


def test_an_image_that_takes_too_much_memory(show, tmp_path):
    # 1431 copies of an image of 500 x 500: just below the 4 GB that WebAssembly can name.
    nodes = [
        helper.make_node("Constant", [], ["times"], value_ints=[1, 1, 1, 1431]),
        helper.make_node("Constant", [], ["first"], value_ints=[0]),
        helper.make_node("Constant", [], ["last"], value_ints=[3]),
        helper.make_node("Constant", [], ["axis"], value_ints=[3]),
        helper.make_node("Tile", ["float", "times"], ["copies"]),
        helper.make_node("Slice", ["copies", "first", "last", "axis"], ["one"]),
    ]
    path = write_segmenter(tmp_path / "segmenter.onnx", nodes=nodes)
    page = show(path)
    page.set_input_files("#file", save(tmp_path / "large.png", smooth_image(500, 500)))
    assert complaint(page) == (
        "The segmenter failed on this image of 500 × 500 pixels: "
        "it needs more memory than the browser provides."
    )
    page.select_option("#limit", label="0.1 megapixels")
    page.get_by_text("316 × 316 pixels in").wait_for()
    assert page.locator("#error").is_hidden()


def test_stop_gives_up_an_image(show, tmp_path):
    path = write_segmenter(tmp_path / "segmenter.onnx", classes=20)
    image = smooth_image(20, 30)
    page = show(path, max_pixels=8_000_000)
    page.set_input_files("#file", save(tmp_path / "large.png", smooth_image(2000, 3000)))
    page.locator("#stop:not([hidden])").focus()
    page.keyboard.press("Enter")
    assert page.inner_text("#status") == "Stopped."
    assert page.evaluate("document.activeElement.id") == "file"
    classes, _ = segment(page, save(tmp_path / "good.png", image))
    np.testing.assert_array_equal(classes, OnnxSegmenter(path)(image).ravel())
    assert page.complaints == []


def test_nothing_is_asked_of_other_servers(show, tmp_path):
    path = write_segmenter(tmp_path / "segmenter.onnx")
    page = show(path)
    page.get_by_text("Ready:").wait_for()
    page.context.set_offline(True)
    segment(page, save(tmp_path / "image.png", smooth_image(20, 30)))
    assert page.asked and all(url.startswith((page.base, "data:", "blob:")) for url in page.asked)
    assert "1 thread." in page.inner_text("#status")


def test_threads_where_the_server_isolates_the_page(show, tmp_path):
    path = write_segmenter(tmp_path / "segmenter.onnx")
    image = smooth_image(20, 30)
    page = show(path, isolated=True)
    classes, _ = segment(page, save(tmp_path / "image.png", image))
    cores = page.evaluate("Math.min(navigator.hardwareConcurrency, 8)")
    assert ("1 thread." if cores == 1 else f"{cores} threads.") in page.inner_text("#status")
    np.testing.assert_array_equal(classes, OnnxSegmenter(path)(image).ravel())


@pytest.mark.parametrize("isolated", [False, True])
def test_runtime_from_a_public_server(show, web_runtime, tmp_path, isolated):
    path = write_segmenter(tmp_path / "segmenter.onnx")
    image = smooth_image(20, 30)
    page = show(path, isolated, runtime="cdn", before=lambda page: stand_in_for_cdn(page, web_runtime))
    classes, _ = segment(page, save(tmp_path / "image.png", image))
    np.testing.assert_array_equal(classes, OnnxSegmenter(path)(image).ravel())
    assert {url for url in page.asked if url.startswith("https:")} == {f"{CDN}/{name}" for name in FILES}


def test_changed_runtime_on_a_public_server(show, web_runtime, tmp_path):
    path = write_segmenter(tmp_path / "segmenter.onnx")
    page = show(
        path, runtime="cdn", before=lambda page: stand_in_for_cdn(page, web_runtime, changed=b"\nalert(1)")
    )
    said = complaint(page)
    assert said.startswith(f"The segmenter could not be loaded: {CDN}/")
    assert said.endswith("cannot be fetched or has a wrong checksum.")


def stand_in_for_cdn(page, runtime, changed=b""):
    headers = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}

    def answer(route):
        name = route.request.url.rpartition("/")[2]
        route.fulfill(body=(runtime / name).read_bytes() + changed, headers=headers)

    page.context.route(f"{CDN}/**", answer)


@pytest.mark.parametrize("missing", ["segmenter.onnx", "segmenter.json", "worker.js"])
def test_page_without_one_of_its_files(show, tmp_path, missing):
    path = write_segmenter(tmp_path / "segmenter.onnx")
    page = show(path, change=lambda folder: (folder / missing).unlink())
    said = complaint(page)
    assert missing in said and said.endswith(".")


def test_truncated_segmenter(show, tmp_path):
    def cut(folder):
        whole = (folder / "segmenter.onnx").read_bytes()
        (folder / "segmenter.onnx").write_bytes(whole[: len(whole) // 2])

    page = show(write_segmenter(tmp_path / "segmenter.onnx"), change=cut)
    assert complaint(page).startswith("The segmenter could not be loaded: ")


def test_page_opened_as_a_file_says_what_to_do(browser, web_runtime, tmp_path):
    page_file = to_web(write_segmenter(tmp_path / "segmenter.onnx"), tmp_path / "page", runtime=web_runtime)
    page = browser.new_page()
    page.goto(page_file.as_uri())
    page.get_by_text("python -m http.server").wait_for()
    page.close()


def test_page_describes_the_segmenter_and_fits_narrow_screens(show, tmp_path):
    names = ["a_very_long_name_of_a_class_without_any_space_in_it" * 2, "b", "c", "d"]
    path = write_segmenter(
        tmp_path / "segmenter.onnx", names=names, input_dtype="uint8", extra={"tta": "flip"}
    )
    page = show(path, title="Streets & <i>roads</i>")
    page.set_viewport_size({"width": 320, "height": 600})
    segment(page, save(tmp_path / "image.png", smooth_image(20, 90)))
    assert page.title() == page.inner_text("#title") == "Streets & <i>roads</i>"
    page.get_by_text("About this segmenter").click()
    about = page.inner_text("#about").split()
    assert {"uint8,", "dense", "flip", "RGB,"} <= set(about)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_an_image_chosen_before_the_page_is_ready(show, tmp_path):
    path = write_segmenter(tmp_path / "segmenter.onnx")
    image = smooth_image(20, 30)
    held = []
    page = show(path, before=lambda page: page.route("**/segmenter.json", lambda route: held.append(route)))
    page.set_input_files("#file", save(tmp_path / "image.png", image))
    held[0].continue_()
    page.locator(DONE).first.wait_for()
    np.testing.assert_array_equal(page.evaluate(RESULT)["classes"], OnnxSegmenter(path)(image).ravel())
