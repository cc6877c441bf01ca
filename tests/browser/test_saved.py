"""The explorer's saved file, opened from disk with the network cut off: drawn on with mouse, finger and keys."""

import os
import re
import statistics

import numpy as np
import pytest

from cnn_utils import datasets, inspection, keras, models
from cnn_utils.explorer import LayerExplorer
from tests import networks
from tests.browser.test_explorer import drag, grid, point_at, settle, shown

L = keras.layers


@pytest.fixture(scope="module")
def explorer():
    keras.utils.set_random_seed(0)
    model, data = models.lenet5(), datasets.load("mnist", source="sample")
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(data.x_train / 255, data.y_train, batch_size=64, verbose=0)
    return LayerExplorer(model, data.x_test[:24] / 255)


@pytest.fixture(scope="module")
def saved(explorer, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "my_network.html"
    assert explorer.save(path) < 1_000_000
    return path


@pytest.fixture
def opened(browser, saved, request):
    """The file in a browser that is offline; an error on the page, or a request, fails the test."""
    options = {"viewport": {"width": 1280, "height": 900}, "offline": True} | getattr(request, "param", {})
    context, asked, errors = browser.new_context(**options), [], []
    context.on("request", lambda sent: asked.append(sent.url))
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text))
    page.goto(saved.as_uri())
    page.locator(".panel output[data-field=activation]").wait_for()
    settle(page)
    yield page
    if folder := os.environ.get("CNN_UTILS_SCREENSHOTS"):  # to look at them
        page.screenshot(path=f"{folder}/{request.node.name}.png", full_page=True)
    context.close()
    assert errors == []
    assert [url for url in asked if not url.startswith(("file:", "blob:"))] == []


def drawing(page):
    """The image on the pad, as the page has it."""
    return np.array(page.evaluate("document.querySelector('.cnn-explorer').drawing()"), "f4")


def check_against_keras(page, explorer):
    """Probabilities and the arithmetic on the page are those of the model, for the drawing on the page."""
    values = inspection.activations(explorer._model, drawing(page).reshape(28, 28, 1))
    bars = page.locator(".bars b").all_inner_texts()
    np.testing.assert_allclose([float(bar.strip(" %")) for bar in bars], 100 * values["softmax"], atol=0.06)
    heading = page.locator(".panel h3").inner_text()
    layer, *place = re.match(r"(\w+) · channel (\d+), row (\d+), column (\d+)", heading).groups()
    channel, row, col = map(int, place)
    assert shown(page, "activation") == pytest.approx(values[layer][row, col, channel], abs=1e-4)


def test_it_is_drawn_on_with_the_mouse(opened, explorer):
    opened.get_by_role("button", name="Clear").click()
    drag(opened, (8, 6), (20, 6), (13, 22))
    assert drawing(opened).sum() > 30
    point_at(opened, "conv2", 0.55, 0.3)
    check_against_keras(opened, explorer)
    assert grid(opened, "products").sum() == pytest.approx(shown(opened, "sum"), abs=0.05)
    speech = opened.locator(".speech").text_content()
    best = opened.locator(".bars .best span").inner_text()
    assert opened.locator(".speech").get_attribute("aria-live") == "polite"
    assert speech == "" or f"The model says {best}" in speech


@pytest.mark.parametrize(
    "opened",
    [{"viewport": {"width": 390, "height": 844}, "has_touch": True, "color_scheme": "dark"}],
    indirect=True,
)
def test_it_is_drawn_on_with_a_finger_on_a_phone_in_the_dark(opened, explorer):
    opened.get_by_role("button", name="Clear").tap()
    box = opened.locator("canvas.pad").bounding_box()
    zoom, client = box["width"] / 28, opened.context.new_cdp_session(opened)
    for kind, places in (
        ("touchStart", [(8, 6)]),
        ("touchMove", [(20, 6), (17, 14), (13, 22)]),
        ("touchEnd", [None]),
    ):
        for place in places:
            points = [{"x": box["x"] + zoom * place[0], "y": box["y"] + zoom * place[1]}] if place else []
            client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    settle(opened)
    assert drawing(opened).sum() > 30
    opened.locator("[data-layer=conv1] canvas").tap(position={"x": 20, "y": 20})
    settle(opened)
    assert opened.locator(".panel h3").inner_text().startswith("conv1 ·")
    check_against_keras(opened, explorer)
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    color = opened.evaluate("getComputedStyle(document.querySelector('.panel h3')).color")
    assert min(map(int, color.strip("rgb()").split(", "))) > 200  # light on dark
    assert opened.evaluate("scrollY") == 0  # the finger drew, the page stood still


def test_it_is_drawn_on_with_keys_and_says_what_happens(opened, explorer):
    opened.get_by_role("button", name="Clear").focus()
    opened.keyboard.press("Enter")
    opened.locator("canvas.pad").focus()
    for _ in range(6):
        opened.keyboard.press("Space")
        opened.keyboard.press("ArrowDown")
    settle(opened)
    assert drawing(opened).sum() > 5
    opened.locator(".speech", has_text="The model says ").wait_for(state="attached")
    opened.locator("[data-layer=conv2] canvas").focus()
    for key in ("ArrowRight", "ArrowDown", "PageDown"):
        opened.keyboard.press(key)
    settle(opened)
    check_against_keras(opened, explorer)
    assert opened.locator(".speech").text_content().startswith("conv2, (")


def test_gradients_are_followed_with_keys(opened, explorer):
    opened.get_by_role("button", name="Image 5").click()
    opened.get_by_role("button", name="backward").focus()
    opened.keyboard.press("Enter")
    settle(opened)
    assert opened.get_by_role("button", name="backward").get_attribute("aria-pressed") == "true"
    explorer.image = drawing(opened).reshape(28, 28, 1)
    best = int(inspection.activations(explorer._model, explorer.image)["logits"].argmax())
    assert f"Backward, gradients of the score of {best}. " in opened.locator(".speech").text_content()
    opened.get_by_label("Gradients of what").select_option("loss")
    opened.get_by_label("Which class").select_option("3")
    settle(opened)
    explorer.backward(3, "loss")
    for layer in ("conv1", "dense1", "image"):
        maps = opened.locator(f".network [data-layer={layer}] canvas")
        maps.focus()
        for key in ("Home", "ArrowLeft", "ArrowRight"):  # the largest gradient, away and back
            opened.keyboard.press(key)
        settle(opened)
        slopes = explorer.gradients()[layer]
        assert shown(opened, "gradient") == pytest.approx(slopes.flat[np.abs(slopes).argmax()], abs=1e-4)
        assert "gradient of the loss of 3 is " in opened.locator(".speech").text_content()
    drag(opened, (8, 6), (20, 6))  # drawn on, it sends back anew
    explorer.image = drawing(opened).reshape(28, 28, 1)
    place = tuple(map(int, re.findall(r"\d+", opened.locator(".panel h3").inner_text())[:3]))
    assert shown(opened, "gradient") == pytest.approx(
        explorer.gradients()["image"][place[1], place[2], place[0]], abs=1e-4
    )
    opened.get_by_role("button", name="forward").click()
    assert shown(opened, "activation") == pytest.approx(
        explorer.image[place[1], place[2], place[0]], abs=1e-4
    )


@pytest.mark.parametrize("build", networks.EVERY_KIND, ids=lambda build: build.__name__)
def test_every_kind_of_layer_says_where_its_gradient_comes_from(browser, build, tmp_path):
    model, errors = build(), []
    explorer = LayerExplorer(model, np.random.default_rng(1).random(model.input_shape[1:]))
    explorer.backward(0)
    explorer.save(tmp_path / "page.html")
    page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((tmp_path / "page.html").as_uri())
    page.locator(".panel output[data-field=gradient]").wait_for()
    for name, slopes in explorer.gradients().items():
        page.locator(f".network [data-layer='{name}'] canvas").focus()
        page.keyboard.press("Home")
        settle(page)
        text = page.locator(".panel").inner_text()
        assert text.startswith(f"{name} ·") and "\u2713 what the backward pass gives" in text, text
        assert not any(wrong in text for wrong in ("undefined", "NaN", "null", "{", "}")), text
        largest = slopes.flat[np.abs(slopes).argmax()]
        assert abs(shown(page, "gradient")) == pytest.approx(abs(largest), abs=6e-5, rel=1e-3), name
        if folder := os.environ.get("CNN_UTILS_SCREENSHOTS"):  # to look at them
            page.screenshot(path=f"{folder}/back_{model.name}_{name}.png")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth") and errors == []
    page.close()


def test_of_an_output_that_is_a_map_the_unit_to_go_back_from_is_chosen_on_it(browser, tmp_path):
    stack = [
        L.Input((8, 8, 1)),
        L.Conv2D(4, 3, activation="relu", name="conv"),
        L.Conv2D(2, 1, name="scores"),
    ]
    explorer = LayerExplorer(
        networks.randomised(keras.Sequential(stack)), np.random.default_rng(1).random((8, 8))
    )
    explorer.save(tmp_path / "page.html")
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto((tmp_path / "page.html").as_uri())
    page.locator(".panel output[data-field=activation]").wait_for()
    scores = page.locator(".network [data-layer=scores] canvas")
    which = page.get_by_label("Which unit")

    def check(place):
        row, col, channel = place
        assert which.inner_text() == f"({row}, {col}) of channel {channel}"
        explorer.backward(place)
        page.locator(".network [data-layer=conv] canvas").focus()
        page.keyboard.press("Home")  # the largest gradient
        settle(page)
        spoken = page.locator(".speech").text_content()
        assert f"gradient of the score of scores, ({row}, {col}) of channel {channel} is " in spoken
        slopes = explorer.gradients()["conv"]
        assert shown(page, "gradient") == pytest.approx(slopes.flat[np.abs(slopes).argmax()], abs=1e-4)
        assert f"({row}, {col}) of channel {channel}" in explorer.figure().get_suptitle()

    page.get_by_role("button", name="backward").click()
    settle(page)
    best = inspection.activations(explorer._model, explorer.image)["scores"]
    check(tuple(map(int, np.unravel_index(best.argmax(), best.shape))))
    scores.click(position={"x": 3, "y": 3})
    settle(page)
    assert "channel 0, row 0, column 0" in page.locator(".panel h3").inner_text()
    assert shown(page, "gradient") == 1
    check((0, 0, 0))
    scores.focus()
    for key in ("Home", "ArrowRight", "ArrowDown", "PageDown", "Enter"):  # Home: the unit that went back last
        page.keyboard.press(key)
    settle(page)
    check((1, 1, 1))
    page.close()


def test_an_offered_image_is_picked(opened, explorer):
    opened.get_by_role("button", name="Image 5").click()
    settle(opened)
    images = np.frombuffer(explorer._images, "f4").reshape(24, -1)
    np.testing.assert_array_equal(drawing(opened), images[5])
    check_against_keras(opened, explorer)


def test_a_stroke_is_painted_at_once(opened, record_property):
    opened.evaluate("document.querySelector('.cnn-explorer').timings.stroke.length = 0")
    drag(opened, (6, 6), (20, 6), (20, 13), (8, 13), (8, 22), (20, 22))
    times = opened.evaluate("document.querySelector('.cnn-explorer').timings.stroke")
    record_property("stroke_ms_median", round(statistics.median(times), 1))
    print(f"stroke: median {statistics.median(times):.1f} ms, slowest {max(times):.1f} ms of {len(times)}")
    assert statistics.median(times) < 100  # generous: the machine may be busy with other tests


@pytest.mark.parametrize("policy, workers", [("blob:", 1), ("'none'", 0)])
def test_a_large_network_is_computed_in_a_worker_unless_that_is_forbidden(
    browser, explorer, saved, tmp_path, policy, workers
):
    path, text = tmp_path / "large.html", saved.read_text("utf-8")
    assert "const SMALL = 3e6" in text and "worker-src blob:" in text
    text = text.replace("const SMALL = 3e6", "const SMALL = 0").replace(
        "worker-src blob:", f"worker-src {policy}"
    )
    path.write_text(text, "utf-8")
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(path.as_uri())
    page.locator(".panel output[data-field=activation]").wait_for()
    drag(page, (8, 6), (20, 6), (13, 22))
    point_at(page, "conv2", 0.55, 0.3)
    assert len(page.workers) == workers
    compiled = (
        "new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0)) instanceof WebAssembly.Module"
    )
    assert all(here.evaluate(compiled) for here in [page, *page.workers])  # the file's own policy allows it
    check_against_keras(page, explorer)
    explorer.image = drawing(page).reshape(28, 28, 1)
    for of, index in (("score", 3), ("loss", 5)):  # of the same drawing: nothing is computed anew by chance
        page.get_by_role("button", name="backward").click()
        page.get_by_label("Gradients of what").select_option(of)
        page.get_by_label("Which class").select_option(str(index))
        settle(page)
        page.locator(".network [data-layer=conv1] canvas").focus()
        page.keyboard.press("Home")
        settle(page)
        explorer.backward(index, of)
        slopes = explorer.gradients()["conv1"]
        assert shown(page, "gradient") == pytest.approx(slopes.flat[np.abs(slopes).argmax()], abs=1e-4)
    page.close()


def test_a_layer_that_the_page_computes_differently_is_named(browser, saved, tmp_path):
    path = tmp_path / "wrong.html"
    text = saved.read_text("utf-8")
    assert '"call": "relu"' in text
    path.write_text(text.replace('"call": "relu"', '"call": "tanh"', 1), "utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    alert = page.locator(".wrong").first
    alert.wait_for()
    assert "Do not trust" in alert.inner_text()
    assert "Do not trust conv1:" in page.locator(".cnn-explorer").inner_text()
    page.close()
