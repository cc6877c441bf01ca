"""Figures: what they show, read back from the Matplotlib objects."""

from types import SimpleNamespace

import IPython
import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from IPython.core.events import EventManager, available_events
from matplotlib.backends.backend_agg import FigureCanvasAgg

from cnn_utils import plots
from tests.oracles import W_NODES, bad_input_is_named

IMAGE = np.arange(25).reshape(5, 5)
KERNEL = np.array([[1, 0], [0, -1]])


@pytest.fixture(autouse=True)
def close():
    plt.close("all")  # those of other files' tests
    yield
    plt.close("all")


def numbers(axes):
    return [text.get_text() for text in axes.texts]


def outlines(axes):
    return [patch for patch in axes.patches if not patch.get_fill()]


def test_in_jupyter_pyplot_draws_no_figure_that_jupyter_draws_anyway(monkeypatch):
    shell, drawn = SimpleNamespace(enable_gui=None), []
    shell.events = EventManager(shell, available_events)
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    monkeypatch.setattr(plt, "get_backend", lambda: "inline")
    monkeypatch.setattr(FigureCanvasAgg, "draw", lambda canvas: drawn.append(canvas))
    with plt.rc_context({"interactive": True}):
        plt.install_repl_displayhook()  # as the backend does
        plt.figure()
        shell.events.trigger("post_execute")  # as at the end of a cell
        assert len(drawn) == 1
        _, (axes,) = plots.grids([IMAGE], title="laid out already")
        place = axes.get_position().bounds
        shell.events.trigger("post_execute")
    assert len(drawn) == 1
    axes.figure.get_layout_engine().execute(axes.figure)
    assert axes.get_position().bounds == pytest.approx(place, abs=0.02)


def test_a_grid_shows_every_number_of_its_array():
    _, (left, right) = plots.grids([IMAGE, KERNEL], ["input", "kernel"], roles=["input", "kernel"])
    assert numbers(left) == [str(value) for value in range(25)]
    assert numbers(right) == ["1", "0", "0", "-1"]


def test_a_grid_never_shows_a_negative_zero():
    _, (axes,) = plots.grids([np.array([-0.0, 0.5])])
    assert numbers(axes) == ["0.00", "0.50"]


def test_grids_stand_in_rows_with_their_marks_and_what_is_not_finite_stays_blank():
    places = list(np.ndindex(2, 2))
    marks = [[(2 * row, 2 * column, 3, 3)] for row, column in places]
    arrays, titles = [IMAGE, IMAGE, [[1, np.nan]], IMAGE], [f"sum {place}" for place in range(4)]
    _, frames = plots.grids(arrays, titles, marks=marks, columns=3)
    assert [axes.get_title() for axes in frames] == titles
    assert len({axes.get_position().y0 for axes in frames[:2]}) == 1
    assert frames[3].get_position().y0 < frames[0].get_position().y0
    assert frames[3].get_position().x0 == pytest.approx(frames[0].get_position().x0)
    assert [outlines(axes)[0].get_xy() for axes in frames] == [
        (-0.5, -0.5),
        (1.5, -0.5),
        (-0.5, 1.5),
        (1.5, 1.5),
    ]
    assert numbers(frames[2]) == ["1"]


@pytest.mark.parametrize(
    ("size", "kernel", "options", "outputs", "unread"),
    [
        (6, 3, {"stride": 2}, 2, [5]),
        (6, 3, {"stride": 2, "padding": (0, 1)}, 3, []),
        (9, 3, {"dilation": 2}, 5, []),
        (5, 2, {"stride": 3}, 2, [2]),
    ],
)
def test_windows_marks_the_pixels_that_no_window_reads(size, kernel, options, outputs, unread):
    _, axes = plots.windows(size, kernel, **options)
    marked = [
        patch
        for patch in axes.patches
        if matplotlib.colors.same_color(patch.get_edgecolor(), plots.COLORS["highlight"])
    ]
    assert [round(patch.get_x()) for patch in marked] == unread
    assert sum(text.get_text().startswith("output") for text in axes.texts) == outputs


def test_transposed_windows_draw_the_output_and_a_stamp_for_each_input():
    _, axes = plots.windows(3, 3, stride=2, padding=(1, 0), transposed=True)
    labels = numbers(axes)
    assert [label for label in labels if label.isdigit()] == [str(pixel) for pixel in range(6)]
    assert [label for label in labels if label.startswith("input")] == ["input 0", "input 1", "input 2"]


def test_signed_pictures_are_centred_on_zero_and_others_use_their_own_range():
    _, frames = plots.images([np.array([[-1.0, 3.0]] * 2), np.array([[2.0, 5.0]] * 2)], signed=[True, False])
    assert frames.flat[0].images[0].get_clim() == (-3, 3)
    assert frames.flat[1].images[0].get_clim() == (2, 5)


def test_colour_pictures_show_their_own_colours_beside_grayscale_ones():
    pixels = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    _, frames = plots.images([pixels, pixels / 255, pixels[None, :, :, :1]], signed=[False, False, True])
    for axes, expected in zip(frames.flat, (pixels, pixels / 255, pixels[:, :, 0]), strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), expected)
    assert frames.flat[2].images[0].get_clim() == (-33, 33)


def test_a_pixel_that_is_not_finite_stays_blank():
    picture = np.array([[np.nan, 2.0, np.inf], [5.0, -3.0, -np.inf]])
    _, frames = plots.images([picture, picture], signed=[False, True])
    assert [axes.images[0].get_array().mask.sum() for axes in frames.flat] == [3, 3]
    assert [axes.images[0].get_clim() for axes in frames.flat] == [(-3, 5), (-5, 5)]


def test_a_matrix_labels_its_cells_but_not_the_zeros():
    values = np.array([[5, 0, np.nan], [2, 7, -np.inf]])
    _, axes = plots.matrix(values, numbers=True, row_labels="ab", column_labels="cde")
    assert numbers(axes) == ["5", "2", "7"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["c", "d", "e"]


def test_curves_draws_each_line_under_its_name():
    _, axes = plots.curves({"one": ([0, 1], [2, 3]), "two": ([0, 1], [4, 5])}, log=True, marks={"here": 0.5})
    assert [line.get_label() for line in axes.lines[:2]] == ["one", "two"]
    assert axes.get_yscale() == "log"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["one", "two"]


def test_a_band_has_the_colour_of_its_line_and_reaches_from_low_to_high():
    lines = {"one": ([0, 1], [2, 3]), "two": ([0, 1], [4, 5])}
    _, axes = plots.curves(lines, bands={"two": ([3, 3], [5, 8])})
    (band,) = axes.collections
    assert matplotlib.colors.same_color(band.get_facecolor()[0, :3], axes.lines[1].get_color())
    assert band.get_datalim(axes.transData).extents.tolist() == [0, 3, 1, 8]


def test_a_graph_draws_every_node_once_and_every_edge_to_the_right():
    nodes = [("a", "Input", ()), ("b", "Input", ()), ("c", "Mul", ("a", "b")), ("d", "Add", ("c", "a"))]
    _, axes = plots.graph(nodes, notes={"c": "6.0"})
    place = {text.get_text().split("\n")[0]: text.get_position() for text in axes.texts}
    assert set(place) == {"a", "b", "c", "d"}
    assert "c\nMul\n6.0" in numbers(axes)
    for _, _, inputs in nodes[:1] + nodes[2:]:
        assert all(place[source][0] < place[name][0] for name, _, inputs in nodes for source in inputs)
    assert (
        len([patch for patch in axes.patches if isinstance(patch, matplotlib.patches.FancyArrowPatch)]) == 4
    )


BACK = {(name, source): f"{name[1]}.{source[1]}00" for name, _, inputs in W_NODES for source in inputs}


@pytest.mark.parametrize("notes", [None, {f"w{i}": "1.000\n∂ 0.500" for i in range(1, 8)}])
def test_arrows_back_run_from_the_later_node_to_the_earlier_with_labels_that_cover_nothing(notes):
    figure, axes = plots.graph(W_NODES, notes=notes, backward=BACK)
    figure.draw_without_rendering()
    boxes = {text.get_text().split("\n")[0]: text for text in axes.texts}
    arrows = [patch for patch in axes.patches if isinstance(patch, matplotlib.patches.FancyArrowPatch)]
    back = [a for a in arrows if matplotlib.colors.same_color(a.get_edgecolor(), plots.COLORS["gradient"])]
    assert len(back) == len(BACK) == 8 and len(arrows) == 16
    for (later, earlier), arrow in zip(BACK, back, strict=True):
        start, end = axes.transData.transform(arrow.get_path().vertices[:3:2])
        for name, point in ((later, start), (earlier, end)):
            box = boxes[name].get_bbox_patch().get_window_extent()
            assert box.padded(6).contains(*point) and not box.contains(*point)
    covered = [boxes[name].get_bbox_patch().get_window_extent() for name, _, _ in W_NODES]
    for label in BACK.values():
        extent = boxes[label].get_window_extent()
        assert extent.count_overlaps(covered) == 0, label
        assert axes.get_window_extent().count_contains([extent.min, extent.max]) == 2, label
        covered.append(extent)


def test_descent_draws_the_path_from_start_to_end():
    path = [(0, 0), (1, 2), (2, 3)]
    _, axes = plots.descent(
        lambda a, b: a**2 + b**2 + 1, path, xlim=(-1, 3), ylim=(-1, 4), xlabel="a", ylabel="b"
    )
    assert axes.lines[0].get_xydata().tolist() == [list(map(float, point)) for point in path]


def test_drawing_leaves_the_readers_settings_alone():
    before = dict(plt.rcParams)
    plots.curves({"one": ([0, 1], [2, 3])})
    with pytest.raises(ValueError, match="arrays"):
        plots.grids([np.zeros((2, 2, 2))])
    assert dict(plt.rcParams) == before


def test_colours_survive_in_grey():
    """Input, kernel, output and gradient keep apart in lightness or, failing that, in hue for every kind of sight."""
    luminance = {
        name: np.dot(matplotlib.colors.to_rgb(color), (0.299, 0.587, 0.114))
        for name, color in plots.COLORS.items()
    }
    assert abs(luminance["input"] - luminance["kernel"]) > 0.2
    assert abs(luminance["kernel"] - luminance["highlight"]) > 0.15
    assert abs(luminance["input"] - luminance["gradient"]) > 0.2


# Bad input.

grids, images, curves = plots.grids, plots.images, plots.curves
PICTURE, LINE = np.ones((4, 4)), {"a": ([0, 1], [1, 2])}
NODES = [("a", "Input", ()), ("b", "Cos", ("a",))]


def descent(cost=lambda a, b: a**2 + b**2 + 1, path=((0, 1),), xlim=(-1, 1)):
    plots.descent(cost, path, xlim=xlim, ylim=(-1, 1), xlabel="a", ylabel="b")


REFUSED = [
    (lambda: grids(5), "arrays=5 must be a list"),
    (lambda: grids([]), "arrays holds 0: it must hold 1 or more"),
    (lambda: grids([[]]), "arrays has shape (1, 0): it must be (rows, columns) or (columns,), not empty"),
    (lambda: grids([[[1, 2], [3]]]), "arrays is ragged"),
    (lambda: grids(["digit"]), "arrays holds <U5: it must hold real numbers"),
    (lambda: grids([np.zeros((2, 2, 2))]), "arrays has shape (2, 2, 2): it must be (rows, columns)"),
    (lambda: grids([IMAGE], roles="inptu"), "role='inptu' must be one of input, highlight, output, kernel"),
    (lambda: grids([IMAGE], roles=[["input"]]), "role=['input'] must be one of"),
    (lambda: grids([IMAGE], roles=["input", "kernel"]), "roles holds 2: it must hold 1"),
    (lambda: grids([IMAGE], ["a", "b"]), "titles holds 2: it must hold 1"),
    (lambda: grids([IMAGE], marks=[(0, 0, 2, 2)]), "marks=0 must be a list"),
    (lambda: grids([IMAGE] * 2, marks=[[]]), "marks holds 1: it must hold 2"),
    (lambda: grids([IMAGE], marks=[[(0, 0, 2)]]), "marks holds 3: it must hold 4"),
    (lambda: grids([IMAGE], between=["="]), "between holds 1: it must hold 0"),
    (lambda: grids([IMAGE], columns=0), "columns=0 must be a whole number, 1 or more"),
    (lambda: plots.windows(5, 7), "kernel=7 does not fit: the input is 5 wide"),
    (lambda: plots.windows(-5, 3), "size=-5 must be a whole number, 1 or more"),
    (lambda: plots.windows(5, 3, padding=-1), 'padding=-1 must be "valid", "same"'),
    (lambda: plots.windows(3, 3, padding=4, transposed=True), "padding=4 takes away too much"),
    (lambda: images(PICTURE), "pictures holds the shape (4,): it must be (height, width)"),
    (lambda: images([]), "pictures holds 0: it must hold 1 or more"),
    (lambda: images([np.ones((2, 4, 4, 3))]), "pictures holds the shape (2, 4, 4, 3)"),
    (
        lambda: images([np.full((4, 4, 3), 1.5)]),
        "pictures holds [1.5]: colours must be integers from 0 to 255",
    ),
    (lambda: images([np.full((4, 4, 3), -1)]), "pictures holds [-1]: colours must be integers from 0 to 255"),
    (lambda: images([PICTURE], signed=[True, False]), "signed holds 2: it must hold 1"),
    (lambda: images([PICTURE], columns=0), "columns=0 must be a whole number, 1 or more"),
    (lambda: plots.matrix([IMAGE]), "values has shape (1, 5, 5): it must be (rows, columns)"),
    (lambda: plots.matrix(IMAGE, row_labels="abc"), "does not match the number of labels (3)"),
    (lambda: plots.matrix(IMAGE, role="loss"), "role='loss' must be one of"),
    (lambda: curves([1, 2]), "lines must be a dict of name to (x, y), and not empty"),
    (lambda: curves({}), "lines must be a dict"),
    (lambda: curves({"a": [1, 2, 3]}), "lines['a'] holds 3: it must hold 2"),
    (lambda: curves({"a": (3, [1, 2])}), "x and y must have same first dimension"),
    (lambda: curves({"a": ([0, 1], [1, 2, 3])}), "x and y must have same first dimension"),
    (lambda: curves({"a": ([0, 1], [[1, 2]] * 2)}), "lines['a'] has shape (1, 2, 2)"),
    (
        lambda: curves({"a": ([0, 1], [0, 1])}, log=True),
        "lines['a'] reaches 0: with log=True every y must be",
    ),
    (lambda: curves(LINE, styles={"b": {}}), "styles names 'b': it must be one of ['a']"),
    (lambda: curves(LINE, bands={"a": ([0, 1], [1])}), "lines['a'] is ragged"),
    (lambda: curves(LINE, bands={"a": ([-1, 1], [1, 2])}, log=True), "lines['a'] reaches -1: with log=True"),
    (lambda: curves(LINE, size=3), "size=3 must be a list"),
    (lambda: descent(path=[[[1, 2]]]), "path has shape (1, 1, 2): it must be (rows, columns)"),
    (lambda: descent(path=[(1, 2, 3)]), "path has shape (1, 3): it must be (steps, 2)"),
    (
        lambda: descent(cost=lambda a, b: -(a**2)),
        "cost must give a finite number for each pair of parameters",
    ),
    (lambda: descent(cost=lambda a, b: 1.0), "cost must give a finite number for each pair of parameters"),
    (lambda: descent(xlim=1), "xlim=1 must be a list"),
    (lambda: plots.graph([]), "nodes holds 0: it must hold 1 or more"),
    (lambda: plots.graph([("a", "Input")]), "nodes holds 2: it must hold 3"),
    (lambda: plots.graph(NODES[1:]), "nodes: 'b' reads 'a', which must come before it"),
    (lambda: plots.graph(NODES[:1] * 2), "nodes: 'a' must stand there once"),
    (lambda: plots.graph([("a", "Input", 3)]), "nodes=3 must be a list"),
    (lambda: plots.graph(NODES, notes={"c": "1"}), "notes names 'c': it must be one of ['a', 'b']"),
    (lambda: plots.graph(NODES, backward={("a", "b"): "1"}), "it must be one of [('b', 'a')]"),
]
test_bad_input_is_named_with_its_value_and_the_rule = bad_input_is_named(REFUSED)
