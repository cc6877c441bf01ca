"""Figures: what they show, read back from the Matplotlib objects."""

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cnn_utils import plots

IMAGE = np.arange(25).reshape(5, 5)
KERNEL = np.array([[1, 0], [0, -1]])


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def numbers(axes):
    return [text.get_text() for text in axes.texts]


def outlines(axes):
    return [patch for patch in axes.patches if not patch.get_fill()]


def test_a_grid_shows_every_number_of_its_array():
    _, (left, right) = plots.grids([IMAGE, KERNEL], ["input", "kernel"], roles=["input", "kernel"])
    assert numbers(left) == [str(value) for value in range(25)]
    assert numbers(right) == ["1", "0", "0", "-1"]


def test_a_grid_never_shows_a_negative_zero():
    _, (axes,) = plots.grids([np.array([-0.0, 0.5])])
    assert numbers(axes) == ["0.00", "0.50"]


def test_a_grid_of_three_dimensions_is_refused():
    with pytest.raises(ValueError, match=r"arrays.*\(2, 2, 2\)"):
        plots.grids([np.zeros((2, 2, 2))])


def test_a_step_outlines_the_window_and_leaves_later_outputs_blank():
    output = np.full((4, 4), 6)
    _, (image, _, products, result) = plots.convolution_step(IMAGE, KERNEL, 1, 2, output)
    (window,) = outlines(image)
    assert window.get_xy() == (1.5, 0.5)
    assert (window.get_width(), window.get_height()) == (2, 2)
    assert numbers(products)[:4] == [str(value) for value in (IMAGE[1:3, 2:4] * KERNEL).ravel()]
    assert len(numbers(result)) == 1 * 4 + 2 + 1


def test_a_filmstrip_has_a_frame_for_each_output_with_its_sum():
    output = np.arange(4).reshape(2, 2)
    _, frames = plots.filmstrip(IMAGE, np.ones((3, 3)), output, stride=2)
    assert [axes.get_title() for axes in frames.flat] == ["sum 0", "sum 1", "sum 2", "sum 3"]
    assert [outlines(axes)[0].get_xy() for axes in frames.flat] == [
        (-0.5, -0.5),
        (1.5, -0.5),
        (-0.5, 1.5),
        (1.5, 1.5),
    ]


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


def test_a_matrix_labels_its_cells_but_not_the_zeros():
    _, axes = plots.matrix(np.array([[5, 0], [2, 7]]), numbers=True, row_labels="ab", column_labels="cd")
    assert numbers(axes) == ["5", "2", "7"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["c", "d"]


def test_curves_draws_each_line_under_its_name():
    _, axes = plots.curves({"one": ([0, 1], [2, 3]), "two": ([0, 1], [4, 5])}, log=True, marks={"here": 0.5})
    assert [line.get_label() for line in axes.lines[:2]] == ["one", "two"]
    assert axes.get_yscale() == "log"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["one", "two"]


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
