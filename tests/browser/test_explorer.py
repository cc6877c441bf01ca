"""The explorer in a real JupyterLab: draw, point, read the numbers, compare them with the model's own.

`test_engine` compares all numbers of many networks, `test_saved` opens the saved file.
"""

import json
import os
import statistics
from pathlib import Path

import numpy as np
import pytest

from tests import networks
from tests.browser.conftest import local_page

SETUP = """
import json
import numpy as np
from cnn_utils import inspection, keras, models
from cnn_utils.explorer import LayerExplorer

keras.utils.set_random_seed(7)
model = models.lenet5()
images = np.random.default_rng(0).random((3, 28, 28, 1))
explorer = LayerExplorer(model, images, class_names=list("abcdefghij"))
explorer
"""


@pytest.fixture(scope="module")
def explorer(browser, lab):
    """A page of JupyterLab with an explorer of LeNet-5 on it, ready to be drawn on."""
    with local_page(browser) as page:
        lab.open(page, lab.write("explorer.ipynb", SETUP))
        (cell,) = lab.run_all(page)
        assert [output["output_type"] for output in cell["outputs"]] == ["execute_result"], cell["outputs"]
        page.wait_for_selector(".cnn-explorer .panel output[data-field=activation]")
        yield page


def in_kernel(page, expression):
    """The value of a Python expression in the notebook's kernel."""
    run = """async code => {
        const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
        const future = kernel.requestExecute({ code });
        let text = "";
        future.onIOPub = ({ content }) => { text += content.text ?? content.traceback?.join("\\n") ?? ""; };
        await future.done;
        return text;
    }"""
    page.evaluate(run, "")  # what the page has told meanwhile is heard before the next request
    return json.loads(page.evaluate(run, f"print(json.dumps({expression}))"))


KERNEL = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"


def start_in_kernel(page, code):
    """Run code in the kernel, do not wait for it."""
    page.evaluate(f"code => {{ {KERNEL}.requestExecute({{ code }}) }}", code)
    page.wait_for_function(f"{KERNEL}.status === 'busy'")


def drag(page, *places):
    """Draw one line through these places of the pad, (x, y) in pixels of the image."""
    box = page.locator("canvas.pad").bounding_box()
    zoom = box["width"] / 28
    points = [(box["x"] + zoom * x, box["y"] + zoom * y) for x, y in places]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=8)
    page.mouse.up()
    settle(page)


def point_at(page, layer, x, y):
    """Move the mouse over a layer's maps, `x` and `y` as fractions of their width and height."""
    box = page.locator(f"[data-layer={layer}] canvas").bounding_box()
    page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    settle(page)


def settle(page):
    """Wait until all is computed."""
    while page.evaluate(
        "document.querySelector('.cnn-explorer').busy()"
    ):  # waits nowhere else: no eval in a saved file
        page.wait_for_timeout(20)


def shown(page, field):
    text = page.locator(f".panel output[data-field={field}]").inner_text()
    return float(text.replace("\u2212", "-"))


def grid(page, name):
    """All numbers of the patch, kernel or products on the page, channel after channel."""
    cells = page.locator(f".panel [data-grid={name}] td").all_inner_texts()
    return np.array([float(cell.replace("\u2212", "-")) for cell in cells])


def test_the_numbers_on_the_page_are_those_of_the_model_after_a_stroke(explorer):
    page = explorer
    page.get_by_role("button", name="Clear").click()
    settle(page)
    assert in_kernel(page, "float(explorer.image.sum())") < 28 * 28 * 0.01  # the darkest pixel of the images
    drag(page, (8, 6), (20, 6), (13, 22))
    assert in_kernel(page, "float(explorer.image.sum())") > 30

    point_at(page, "conv2", 0.55, 0.3)
    where = in_kernel(page, "explorer.explain().unit + (explorer.explain().channel,)")
    model_says = "keras.Model(model.inputs[0], model.get_layer('conv2').output)(explorer.image[None]).numpy()"
    row, col, channel = where
    output = in_kernel(page, f"float({model_says}[0, {row}, {col}, {channel}])")
    assert shown(page, "activation") == pytest.approx(output, abs=1e-4)
    assert max(shown(page, "pre_activation"), 0) == pytest.approx(output, abs=1e-4)
    assert shown(page, "sum") + shown(page, "bias") == pytest.approx(shown(page, "pre_activation"), abs=2e-4)

    window = in_kernel(
        page,
        "inspection.activations(model, explorer.image)['pool1']"
        f"[{row}:{row + 5}, {col}:{col + 5}].transpose(2, 0, 1).ravel().tolist()",
    )
    kernel = in_kernel(
        page, f"model.get_layer('conv2').kernel.numpy()[..., {channel}].transpose(2, 0, 1).ravel().tolist()"
    )
    np.testing.assert_allclose(grid(page, "patch"), window, atol=0.006)
    np.testing.assert_allclose(grid(page, "kernel"), kernel, atol=0.006)
    np.testing.assert_allclose(grid(page, "products"), np.multiply(window, kernel), atol=0.006)


def test_pool_dense_and_softmax_show_their_arithmetic(explorer):
    page = explorer
    point_at(page, "pool1", 0.3, 0.2)
    cells = grid(page, "patch")
    assert cells.size == 4 and grid_winner(page) == cells.max()

    point_at(page, "dense1", 0.5, 0.5)
    assert page.locator(".panel tbody tr").count() == 11  # the ten strongest, and the rest together
    products = [
        float(t.replace("\u2212", "-")) for t in page.locator(".panel td:nth-child(4)").all_inner_texts()
    ]
    assert sum(products) == pytest.approx(shown(page, "sum"), abs=1e-3)

    page.get_by_role("button", name="c:").click()
    settle(page)
    scores = in_kernel(page, "model(explorer.image[None]).numpy()[0].tolist()")
    shares = np.exp(scores) / np.exp(scores).sum()
    assert shown(page, "activation") == pytest.approx(shares[2], abs=1e-4)
    rows = page.locator(".panel td:nth-child(4)").all_inner_texts()
    assert [float(row.strip(" %")) for row in rows] == pytest.approx(100 * shares, abs=0.01)


def grid_winner(page):
    return float(page.locator(".panel td.winner").inner_text().replace("\u2212", "-"))


def test_the_keyboard_reaches_every_unit_and_code_and_page_agree(explorer):
    page = explorer
    in_kernel(page, "explorer.select('conv2', (4, 7), 2)")
    page.wait_for_function("document.querySelector('.panel h3').innerText.includes('row 4, column 7')")
    page.locator("[data-layer=conv2] canvas").focus()
    for key in ("ArrowLeft", "ArrowDown", "PageDown", "PageDown"):
        page.keyboard.press(key)
    settle(page)
    assert page.locator(".panel h3").inner_text().startswith("conv2 · channel 4, row 5, column 6")
    assert in_kernel(page, "[explorer.explain().unit, explorer.explain().channel]") == [[5, 6], 4]
    assert "conv2, (5, 6) of channel 4" in page.locator(".speech").text_content()
    page.keyboard.press("Escape")
    index = "window.jupyterapp.shell.currentWidget.content.activeCellIndex"
    assert page.evaluate(index) == 0  # the keys did not reach JupyterLab's own shortcuts


def test_a_picked_image_is_shown_and_explained(explorer):
    page = explorer
    page.get_by_role("button", name="Image 2").click()
    settle(page)
    assert in_kernel(page, "bool(np.array_equal(explorer.image, images[2].astype('float32')))")
    best = in_kernel(page, "int(model(explorer.image[None]).numpy().argmax())")
    assert page.locator(".bars .best").inner_text().startswith("abcdefghij"[best])


def test_code_and_page_agree_on_what_is_sent_back(explorer):
    page = explorer
    in_kernel(page, "explorer.backward('d', 'loss')")
    page.wait_for_selector(".panel output[data-field=gradient]")
    point_at(page, "dense1", 0.5, 0.5)
    (unit,) = in_kernel(page, "explorer.explain().unit")
    expected = in_kernel(page, f"float(explorer.gradients()['dense1'][{unit}])")
    assert shown(page, "gradient") == pytest.approx(expected, abs=1e-4)
    page.get_by_role("button", name="f:").click()  # another class, on the page
    settle(page)
    assert in_kernel(page, "explorer._target") == {"of": "loss", "index": 5}
    page.get_by_role("button", name="forward").click()
    assert in_kernel(page, "explorer._target") == {}
    assert page.locator(".panel output[data-field=gradient]").count() == 0


def test_the_page_goes_on_while_the_kernel_is_busy_and_the_kernel_follows_when_it_is_free(explorer, tmp_path):
    page, free = explorer, tmp_path / "free"
    start_in_kernel(page, f"import os, time\nwhile not os.path.exists({str(free)!r}): time.sleep(0.02)")
    page.get_by_role("button", name="Image 1").click()
    point_at(page, "conv2", 0.3, 0.6)
    heading = page.locator(".panel h3").inner_text()
    assert heading.startswith("conv2 ·")
    said, best = shown(page, "activation"), page.locator(".bars .best").inner_text()
    assert page.evaluate(f"{KERNEL}.status") == "busy"  # nothing of this has waited
    free.touch()
    assert in_kernel(page, "bool(np.array_equal(explorer.image, images[1].astype('float32')))")
    assert in_kernel(page, "explorer.explain().activation") == pytest.approx(said, abs=6e-5)
    row, col, channel = in_kernel(page, "[*explorer.explain().unit, explorer.explain().channel]")
    assert f"channel {channel}, row {row}, column {col}" in heading
    assert best.startswith("abcdefghij"[in_kernel(page, "int(model(images[1:2]).numpy().argmax())")])


def test_more_training_is_shown_after_a_refresh(explorer):
    page = explorer
    in_kernel(page, "explorer.select('conv1', (4, 7), 2)")
    page.wait_for_function("document.querySelector('.panel h3').innerText.includes('row 4, column 7')")
    bias = shown(page, "bias")
    in_kernel(page, "model.get_layer('conv1').bias.assign(model.get_layer('conv1').bias + 0.5) is None")
    in_kernel(page, "explorer.refresh()")
    page.wait_for_function(
        f"document.querySelector('.panel output[data-field=bias]')?.dataset.value > {bias + 0.4}"
    )
    assert shown(page, "bias") == pytest.approx(bias + 0.5, abs=1e-4)
    assert shown(page, "activation") == pytest.approx(in_kernel(page, "explorer.explain().output"), abs=6e-5)
    assert page.locator(".cnn-explorer").count() == 1 and page.locator(".wrong").count() == 0


def test_stroke_and_hover_reach_the_page_quickly(explorer, record_property):
    page = explorer
    drag(page, (6, 6), (20, 6), (20, 13), (8, 13), (8, 22), (20, 22))
    for step in range(30):
        point_at(page, "conv2", 0.1 + 0.025 * step, 0.4)
    timings = page.evaluate("document.querySelector('.cnn-explorer').timings")
    for name, limit in (("stroke", 100), ("unit", 100)):  # generous: the machine may be busy with other tests
        median = statistics.median(timings[name])
        record_property(f"{name}_ms_median", round(median, 1))
        print(f"{name}: median {median:.0f} ms, slowest {max(timings[name]):.0f} ms of {len(timings[name])}")
        assert median < limit


EVERY_KIND = """
import json
import networks
import numpy as np
from IPython.display import display
from cnn_utils import inspection
from cnn_utils.explorer import LayerExplorer

explorers = []
for build, dtype in [(b, "float32") for b in networks.EVERY_KIND] + [(networks.branching, "mixed_bfloat16")]:
    model = build(dtype)
    images = np.random.default_rng(1).random((3, *model.input_shape[1:]))
    explorers.append(LayerExplorer(model, images))


def explained(number, units):
    model, image = explorers[number]._model, explorers[number].image
    values = inspection.activations(model, image)
    found = [vars(inspection.explain(model, image, *unit, values=values)) for unit in units]
    return [{name: value for name, value in one.items() if isinstance(value, (str, float))} for one in found]


display(*explorers)
"""


def test_the_page_shows_a_unit_of_every_kind_of_layer(browser, lab):
    (lab.folder / "networks.py").write_text(Path(networks.__file__).read_text())
    errors = []
    with local_page(browser) as page:
        page.on("pageerror", lambda error: errors.append(str(error)))
        lab.open(page, lab.write("kinds.ipynb", EVERY_KIND))
        (cell,) = lab.run_all(page)
        assert [output["output_type"] for output in cell["outputs"]] == 4 * ["display_data"], cell["outputs"]
        for number in range(4):
            root = page.locator(".cnn-explorer").nth(number)
            root.locator(".panel output[data-field=activation]").wait_for()
            panels = {}
            for name in in_kernel(page, f"list(explorers[{number}]._steps)[1:]"):
                maps = root.locator(f"[data-layer='{name}'] canvas")
                maps.scroll_into_view_if_needed()
                maps.hover(position={"x": 6, "y": 6})
                page.wait_for_function(f"!document.querySelectorAll('.cnn-explorer')[{number}].busy()")
                panels[name] = root.locator(".panel").evaluate(PANEL)
                if folder := os.environ.get("CNN_UTILS_SCREENSHOTS"):  # to look at them
                    root.locator(".panel").screenshot(path=f"{folder}/{number}_{name}.png")
            units = [unit for *_, unit in panels.values()]
            explained = in_kernel(page, f"explained({number}, {units})")
            # in half precision page and Keras round the same sums differently
            close = {"abs": 6e-5} if number < 3 else {"abs": 0.03, "rel": 0.05}
            for (name, panel), explanation in zip(panels.items(), explained, strict=True):
                check_panel(name, panel, explanation, close)
    assert errors == []


PANEL = """panel => [
    panel.querySelector("h3").innerText,
    panel.innerText,
    Object.fromEntries([...panel.querySelectorAll("output")].map(o => [o.dataset.field, o.innerText])),
    panel.closest(".cnn-explorer").selected(),
]"""


def check_panel(name, panel, explanation, close):
    """The panel explains a unit of this layer, without a gap, by the numbers of its explanation."""
    heading, text, shown, unit = panel
    assert heading.startswith(f"{name} ·") and unit[0] == name
    assert "activation" in shown
    for field, said in shown.items():
        assert float(said.replace("\u2212", "-")) == pytest.approx(explanation[field], **close), (name, field)
    assert "\u2713 what the model itself gives" in text
    assert not any(wrong in text for wrong in ("undefined", "NaN", "null", "{", "}")), text


def test_the_page_fits_900_pixels_in_the_dark_theme(explorer):
    page = explorer
    page.set_viewport_size({"width": 900, "height": 800})
    page.evaluate("window.jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Dark' })")
    page.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
    lightness = """() => {
        const title = document.querySelector(".cnn-explorer .panel h3");
        const parts = getComputedStyle(title).color.match(/[0-9.]+/g);
        return parts.slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3;
    }"""
    assert page.evaluate(lightness) > 200  # the text has turned light
    page_of = "document.querySelector('.cnn-explorer')"
    assert page.evaluate(f"{page_of}.scrollWidth <= {page_of}.clientWidth")


def test_the_page_outlives_its_kernel(explorer):
    page, errors = explorer, []
    page.on("pageerror", lambda error: errors.append(str(error)))
    shut_down = f"async () => {{ const kernel = {KERNEL}; await kernel.shutdown(); return kernel.status }}"
    assert page.evaluate(shut_down) == "dead"
    page.get_by_role("button", name="Clear").click()
    drag(page, (8, 6), (20, 6), (13, 22))
    point_at(page, "pool1", 0.3, 0.2)
    assert page.locator(".panel h3").inner_text().startswith("pool1 ·")
    assert grid_winner(page) == grid(page, "patch").max()
    assert errors == []
