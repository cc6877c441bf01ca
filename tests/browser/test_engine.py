"""The arithmetic of the explorer's page, in Chromium: activations against Keras, explanations against `inspection`."""

import base64
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from cnn_utils import architectures, datasets, explorer, inspection, keras, models
from cnn_utils.explorer import network
from cnn_utils.explorer.gradients import has_shares, of_target
from cnn_utils.explorer.picture import strongest
from tests import networks
from tests.browser.conftest import local_page
from tests.test_inspection import as_unit, branches

L = keras.layers
ENGINE = (Path(explorer.__file__).parent / "engine.js").read_text("utf-8")
GLUE = """
const { open, forward, explain, backward, blame } = engine();
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
let net, values, target, gradients;
function load(layers, arrays) { net = open(layers, new Float32Array(bytes(arrays))); }
function run(image) {
  values = forward(net, new Float32Array(bytes(image)));
  return Object.fromEntries(Object.entries(values).map(([name, x]) => [name, Array.from(x, String)]));
}
const plain = (key, value) => { // JSON has no infinity
  if (ArrayBuffer.isView(value)) return Array.from(value, String);
  return typeof value === "number" ? String(value) : value;
};
function look(places) { return places.map((place) => JSON.parse(JSON.stringify(explain(net, values, ...place), plain))); }
function back(asked) {
  gradients = backward(net, values, (target = asked));
  return Object.fromEntries(Object.entries(gradients).map(([name, { output }]) => [name, Array.from(output, String)]));
}
function sources(places) {
  const found = places.map((place) => blame(net, values, gradients, target, ...place));
  return found.map(({ output, sum, tolerance }) => [output, sum, tolerance].map(String));
}
"""


COUNTED = """
let instances = 0;
const construct = (made, given) => { instances++; return new made(...given); };
WebAssembly.Instance = new Proxy(WebAssembly.Instance, { construct });
"""


@pytest.fixture(scope="module")
def page(browser):
    with local_page(browser) as page:
        page.add_script_tag(content=COUNTED + ENGINE + GLUE)
        assert page.evaluate("instances") == 1  # the convolutions' inner loop
        yield page


@pytest.fixture(scope="module")
def plain_page(browser):
    """A page that may not compile WebAssembly."""
    with local_page(browser) as page:
        page.add_script_tag(content="delete window.WebAssembly;" + ENGINE + GLUE)
        yield page


def encoded(data):
    return base64.b64encode(data).decode()


def run(page, model, image):
    """Every layer's values of one image, as the page computes them."""
    steps = inspection.steps(model)
    described = network.describe(model, steps, [step.name for step in steps])
    page.evaluate(
        "([layers, arrays]) => load(layers, arrays)", [described["layers"], encoded(described["arrays"])]
    )
    found = page.evaluate("image => run(image)", encoded(np.asarray(image, np.float32).tobytes()))
    return {step.name: np.array(found[step.name], float).reshape(step.keras_shape) for step in steps}


def squares(layer):
    """The one activation of the inspection's tests that the page refuses: no straight line far out."""
    function = getattr(layer, "activation", None)
    return getattr(function, "__name__", "") == "<lambda>"


def all_branches():
    """The branches of the inspection's tests, a reader's own activations among them."""
    inputs, ends = L.Input((9, 8, 2)), []
    for layers in branches():
        x = inputs
        for layer in layers:
            x = x if squares(layer) else layer(x)
        ends.append(L.Flatten()(x))
    return networks.randomised(keras.Model(inputs, L.Concatenate()(ends)))


def trained(build):
    data = datasets.load("mnist", source="sample")
    keras.utils.set_random_seed(0)
    model = build()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(data.x_train[:2000] / 255, data.y_train[:2000], batch_size=64, verbose=0)
    return model


def architecture(name, shape):
    keras.utils.set_random_seed(0)
    return getattr(architectures, name)(input_shape=shape, classes=10)


NETWORKS = {f"random {seed}": lambda seed=seed: networks.random_network(seed) for seed in range(8)}
NETWORKS |= {build.__name__: build for build in networks.EVERY_KIND}
NETWORKS |= {"branches": all_branches, "lenet5_1998": lambda: architecture("lenet5_1998", (32, 32, 1))}
NETWORKS |= {
    "lenet5, trained": lambda: trained(models.lenet5),
    "quicknet, trained": lambda: trained(models.quicknet),
}


@pytest.fixture(scope="module")
def differences():
    """By kind of layer: (activations compared, largest difference), and the same of explanations."""
    found = {
        name: defaultdict(list) for name in ("activations", "explanations", "gradients", "their sources")
    }
    yield found
    for what, by_kind in found.items():
        print(f"\n{what} by kind of layer, largest relative difference:")
        for kind, cases in sorted(by_kind.items()):
            print(f"  {kind:24} {sum(n for n, _ in cases):8} numbers  {max(d for _, d in cases):.1e}")


@pytest.mark.parametrize("name", NETWORKS)
def test_the_page_computes_what_keras_computes_and_explains_it_as_inspection_does(page, name, differences):
    model = NETWORKS[name]()
    rng = np.random.default_rng(1)
    image = rng.normal(size=model.input_shape[1:]).astype("float32")
    expected, found = inspection.activations(model, image), run(page, model, image)
    steps = {step.name: step for step in inspection.steps(model)}
    for step in steps.values():
        values, kind = expected[step.name], type(step.layer).__name__
        difference = np.abs(found[step.name] - values).max() / max(np.abs(values).max(), 1e-6)
        differences["activations"][kind].append((values.size, difference))
        assert difference < 1e-4, (step.name, kind)
        places = [tuple(int(rng.integers(n)) for n in values.shape) for _ in range(5)]
        asked = [[step.name, *json_unit(place)] for place in places]
        for place, page_says in zip(places, page.evaluate("places => look(places)", asked), strict=True):
            here = inspection.explain(model, image, step.name, *as_unit(place), values=expected)
            top = strongest(steps, here) if step.kind.shows == "contributions" else []
            worst = compare(page_says, here, top, np.abs(values).max())
            differences["explanations"][kind].append((1, worst))
    for of in ("score", "loss") if has_shares(inspection.steps(model)[-1]) else ("score",):
        compare_gradients(page, model, image, of, differences)


def compare_gradients(page, model, image, of, differences):
    """Every gradient on the page is that of GradientTape, and where it comes from adds up to it."""
    rng, steps = np.random.default_rng(2), inspection.steps(model)
    index = int(rng.integers(np.prod(steps[-1].shape)))
    expected = of_target(model, image, of, index)
    found = page.evaluate("target => back(target)", {"of": of, "index": index})
    for step in steps:
        slopes, kind = expected[step.name], type(step.layer).__name__
        largest = max(np.abs(slopes).max(), 1e-6)
        said = np.array(found[step.name], float).reshape(slopes.shape)
        difference = np.abs(said - slopes).max() / largest
        differences["gradients"][kind].append((slopes.size, difference))
        assert difference < 1e-4, (step.name, kind, of)
        places = [tuple(int(rng.integers(n)) for n in slopes.shape) for _ in range(3)]
        places.append(np.unravel_index(np.abs(slopes).argmax(), slopes.shape))
        asked = [[step.name, *json_unit(tuple(map(int, place)))] for place in places]
        for place, parts in zip(places, page.evaluate("places => sources(places)", asked), strict=True):
            output, total, tolerance = map(float, parts)
            assert abs(total - output) <= tolerance, (step.name, kind, of)
            differences["their sources"][kind].append((1, abs(total - slopes[place]) / largest))
            assert differences["their sources"][kind][-1][1] < 1e-4, (step.name, kind, of)


def json_unit(place):
    unit, channel = as_unit(place)
    return [list(unit), channel]


def compare(page_says, here, top, largest):
    """The page says what `here`, of `inspection`, says, and names the `top` contributions; return the largest difference.

    Activations are compared beside the `largest` of the layer: where a sum cancels, little of it is left.
    """
    exact = {"layer": here.layer, "function": here.function, "precision": here.precision}
    assert {name: page_says[name] for name in exact} == exact
    assert page_says["sources"] == list(here.sources)
    assert [int(i) for i in page_says["unit"]] == list(here.unit)
    boxes = {
        name: tuple(tuple(int(i) for i in part) for part in box) for name, box in page_says["boxes"].items()
    }
    assert boxes == {name: tuple(map(tuple, box)) for name, box in here.boxes.items()}
    if here.window is not None:
        assert [[int(i) for i in part] for part in page_says["window"]] == [
            list(part) for part in here.window
        ]
        assert page_says["padded"] == here.padded.ravel().tolist()
    scale, worst = max(largest, 1e-3), 0.0
    if here.winner is not None:
        assert [int(i) for i in page_says["winner"]] == list(here.winner)
    for name in ("output", "activation", "sum", "bias", "pre_activation"):
        value, said = getattr(here, name), page_says.get(name)
        assert (said is None) == (value is None), name
        if value is not None:
            worst = max(worst, abs(float(said) - value) / max(scale, abs(value)))
    for name in ("patch", "kernel", "products", "scores", "exponentials"):
        value, said = getattr(here, name), page_says.get(name)
        if value is not None:
            said, value = np.array(said, float), np.ravel(value)
            assert said.shape == value.shape, name
            worst = max(worst, np.abs(said - value).max() / max(np.abs(value).max(), 1e-3))
    assert page_says["terms"].keys() == here.terms.keys()
    for name, value in here.terms.items():
        worst = max(worst, abs(float(page_says["terms"][name]) - value) / max(abs(value), 1e-3))
    assert [c[4] is not None and c[4][0] for c in page_says["top"]] == [
        c.place is not None and c.place[0] for c in top
    ]
    for said, contribution in zip(page_says["top"], top, strict=True):
        worst = max(worst, abs(float(said[3]) - contribution.product) / max(abs(contribution.product), 1e-3))
    assert worst < 1e-4, (here, page_says)
    assert abs(float(page_says["activation"]) - float(page_says["output"])) <= float(page_says["tolerance"])
    return worst


@pytest.mark.parametrize("name", ["random 0", "random 5", "branches", "quicknet, trained"])
def test_where_webassembly_is_forbidden_the_page_computes_the_same(page, plain_page, name):
    model = NETWORKS[name]()
    image = np.random.default_rng(1).normal(size=model.input_shape[1:]).astype("float32")
    found, plain = run(page, model, image), run(plain_page, model, image)
    for layer, values in plain.items():
        np.testing.assert_allclose(found[layer], values, atol=1e-5 * max(np.abs(values).max(), 1e-3), rtol=0)
    both = [here.evaluate("back({ of: 'score', index: 0 })") for here in (page, plain_page)]
    for layer in plain:
        one, other = (np.array(slopes[layer], float) for slopes in both)
        np.testing.assert_allclose(one, other, atol=1e-5 * max(np.abs(other).max(), 1e-6), rtol=0)


@pytest.mark.parametrize("dtype, most", [("mixed_float16", 0.02), ("mixed_bfloat16", 0.1)])
@pytest.mark.parametrize("build", networks.EVERY_KIND, ids=lambda build: build.__name__)
def test_in_half_precision_the_page_rounds_as_the_layers_do(page, build, dtype, most):
    model = build(dtype)
    image = np.random.default_rng(1).random(model.input_shape[1:], np.float32)
    expected, found = inspection.activations(model, image), run(page, model, image)
    for name, values in expected.items():
        assert np.abs(found[name] - values).max() <= most * max(np.abs(values).max(), 1e-6), name
        asked = [[name, *json_unit(tuple(n // 2 for n in values.shape))]]
        (said,) = page.evaluate("places => look(places)", asked)
        assert abs(float(said["activation"]) - float(said["output"])) <= float(said["tolerance"]), name
