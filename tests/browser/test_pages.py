"""The site that ``make pages`` builds, opened from disk with the network cut off: whole, readable, and its numbers right."""

import os
from html.parser import HTMLParser
from itertools import product
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest

from cnn_utils import arithmetic, inspection
from pages.__main__ import NETWORKS, SITE
from tests.browser.conftest import missing
from tools import notebooks

PAGES = ["index", "reference", "search", "notebooks/CLAIMS"]
PAGES += [f"notebooks/{path.stem}" for path in notebooks.paths()]
MOST = 1_500_000  # bytes of a page and all it loads, but for the explorer


@pytest.fixture(scope="module")
def site():
    if not (SITE / "index.html").exists():
        missing("the site is not built: `make pages`")
    built = (SITE / "index.html").stat().st_mtime
    newer = [path.name for path in notebooks.paths() if path.stat().st_mtime > built]
    if newer:
        missing(f"the site is older than {', '.join(newer)}: `make pages`")
    return SITE


@pytest.fixture(scope="module")
def visitor(site, browser):
    """A browser without a connection, and what went wrong on its pages."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    context.set_default_timeout(30_000)
    page, asked, wrong = context.new_page(), [], []
    context.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text))
    yield page, asked, wrong
    context.close()


def opened(visitor, name):
    page, asked, wrong = visitor
    asked.clear()
    wrong.clear()
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")
    page.goto((SITE / f"{name}.html").as_uri())
    return page


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_whole_and_everybody_can_read_it(name, visitor):
    page, (_, asked, wrong) = opened(visitor, name), visitor
    loaded = {unquote(urlsplit(url).path) for url in asked if url.startswith("file:")}
    assert sum(os.path.getsize(path) for path in loaded if "_static/0" not in path) < MOST
    pictures = page.locator("img")
    page.evaluate(
        "() => Promise.all([...document.images].map((image) => { image.loading = 'eager'; return image.decode(); }))"
    )
    assert all(
        pictures.evaluate_all("all => all.map((image) => image.naturalWidth > 0 && image.alt.length > 3)")
    )
    assert wrong == [] and [url for url in asked if not url.startswith(("file:", "blob:", "data:"))] == []
    page.set_viewport_size({"width": 390, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 1280, "height": 900})
    assert hurdles(page) == []


@pytest.mark.parametrize("name", ["index", "notebooks/CLAIMS", "notebooks/01_computational_graphs"])
def test_a_page_can_be_read_in_the_dark_on_a_phone(name, visitor):
    page = opened(visitor, name)
    page.set_viewport_size({"width": 390, "height": 900})
    page.emulate_media(color_scheme="dark")
    assert hurdles(page) == []


def hurdles(page):
    """What axe finds serious, or worse. Code is taken out, thousands of words in a few colours made for contrast."""
    from axe_playwright_python.sync_playwright import Axe

    page.evaluate("document.querySelectorAll('.highlight').forEach((code) => code.replaceChildren())")
    rules = {"resultTypes": ["violations"], "iframes": False, "preload": False}
    found = Axe().run(page, options=rules).response["violations"]
    serious = [rule for rule in found if rule["impact"] in ("serious", "critical")]
    return [f"{rule['id']}: {node['html'][:150]}" for rule in serious for node in rule["nodes"]]


class Links(HTMLParser):
    """Where the links and pictures of a page lead, and the places that others can link to."""

    def __init__(self, path):
        super().__init__()
        self.leads, self.places = [], {""}
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.places |= {given[key] for key in ("id", "name") if given.get(key)}
        self.leads += [given[key] for key in ("href", "src") if given.get(key)]


def test_no_link_is_broken(site):
    known = {path.resolve(): Links(path) for path in site.rglob("*.html") if "_static" not in path.parts}
    broken = []
    for path, found in known.items():
        for link in map(urlsplit, found.leads):
            target = (path.parent / unquote(link.path)).resolve() if link.path else path
            if not link.scheme and not (
                target.exists() and (target not in known or unquote(link.fragment) in known[target].places)
            ):
                broken.append((path.name, link.geturl()))
    assert broken == []


def test_the_ledger_links_every_claim_to_its_cells(site):
    led = {link for link in Links(site / "notebooks/CLAIMS.html").leads if "#" in link}
    numbers = {path.name[:2]: path.stem for path in notebooks.paths()}
    for claim, (_, where, _) in notebooks.ledger().items():
        assert {f"{numbers[number]}.html#{claim}" for number in where} <= led, claim


def test_formulas_are_drawn(visitor):
    page = opened(visitor, "notebooks/06_mnist_convnet")
    formula = page.locator("div.math math").first
    formula.scroll_into_view_if_needed()
    box = formula.bounding_box()
    assert box["width"] > 100 and box["height"] > 20
    assert page.locator("article").inner_text().count("$") == 0


def test_search_finds_a_word_without_a_server(visitor):
    page, _, _ = visitor
    page.goto(f"{(SITE / 'search.html').as_uri()}?q=dilation")
    page.locator("#search-results a").filter(has_text="Slide a window").first.wait_for()


def test_the_sliders_say_what_arithmetic_says(visitor):
    page = opened(visitor, "notebooks/02_convolution_arithmetic")
    place = page.locator(".windows")
    for size, kernel, stride, padding, dilation, transposed in product(
        (1, 6, 12), (1, 3, 5), (1, 3), (0, 2), (1, 3), (False, True)
    ):
        knobs = {"size": size, "kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
        place.evaluate(
            """(place, [knobs, transposed]) => {
                for (const [name, value] of Object.entries(knobs)) place.querySelector(`[name=${name}]`).value = value;
                place.querySelector("[name=transposed]").checked = transposed;
                place.dispatchEvent(new Event("input"));
            }""",
            [knobs, transposed],
        )
        options = {"stride": stride, "padding": padding, "dilation": dilation}
        rule = arithmetic.transposed_conv_output_size if transposed else arithmetic.conv_output_size
        try:
            expected = f"{size} pixels become {rule(size, kernel, **options)}"
        except ValueError:
            expected = "padding=" if transposed else "kernel="
        said = place.locator("p").inner_text()
        assert said.startswith(expected), (knobs, transposed, said)
        assert place.locator("svg").count() == ("become" in said)


@pytest.mark.parametrize("path", sorted(NETWORKS.glob("*.npz")), ids=lambda path: path.stem)
def test_the_explorer_on_a_page_has_the_numbers_of_keras(path, visitor):
    page = opened(visitor, f"notebooks/{path.stem}")
    page.locator("iframe.explorer").scroll_into_view_if_needed()
    frame = page.frame_locator("iframe.explorer")
    frame.locator(".panel output[data-field=activation]").wait_for()
    model, images, (layer, *unit) = notebooks.kept_network(path)
    frame.locator(".cnn-explorer").evaluate("async (node) => await node.settled?.()")
    values = inspection.activations(model, images[0])
    bars = frame.locator(".bars b").all_inner_texts()
    np.testing.assert_allclose([float(bar.strip(" %")) for bar in bars], 100 * values["softmax"], atol=0.06)
    found = inspection.explain(model, images[0], layer, *unit, values=values)
    shown = frame.locator(".panel output[data-field=activation]").first.inner_text()
    assert float(shown.replace("−", "-")) == pytest.approx(found.activation, abs=1e-4)
