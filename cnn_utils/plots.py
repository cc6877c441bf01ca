"""Every figure of the course: one style, one palette.

Each function draws one kind of picture and returns ``(figure, axes)``; Jupyter shows the picture, not the pair.
Colours mean the same thing everywhere: see `COLORS`. A negative number is grey, whatever the role. What cannot
be drawn raises a ``ValueError`` that names the argument, its value and the rule.
"""

from functools import wraps
from numbers import Real
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import FancyArrowPatch, Rectangle

from cnn_utils.arithmetic import conv_output_size, place_windows, transposed_conv_output_size, whole_number
from cnn_utils.reference.windows import as_array

COLORS = {  # Okabe and Ito's palette, which survives colour blindness
    "input": "#0072B2",
    "kernel": "#E69F00",
    "output": "#009E73",
    "gradient": "#CC79A7",
    "highlight": "#D55E00",
    "other": "#56B4E9",
    "neutral": "#6B6B6B",
}
LINES = [COLORS[name] for name in ("input", "highlight", "output", "kernel", "gradient", "other", "neutral")]
STYLE = {
    "figure.dpi": 100,
    "savefig.dpi": 100,
    "figure.constrained_layout.use": True,
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titleweight": "regular",
    "figure.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": plt.cycler(color=LINES),
    "axes.grid": False,
    "legend.frameon": False,
    "image.cmap": "gray",
}


class Drawing(NamedTuple):
    """What every function here returns. As the last line of a cell it prints nothing: Jupyter shows the figure itself."""

    figure: plt.Figure
    axes: object

    def _ipython_display_(self):
        pass


def _styled(draw):
    """Run a drawing function under the course's style, leaving the reader's own settings alone."""

    @wraps(draw)
    def styled(*args, **options):
        # rc_context would also undo what Jupyter's backend sets on first use
        before = {key: plt.rcParams[key] for key in STYLE}
        plt.rcParams.update(STYLE)
        try:
            return Drawing(*draw(*args, **options))
        finally:
            plt.rcParams.update(before)

    return styled


# ---------------------------------------------------------------------------------------------- arrays with numbers


@_styled
def grids(arrays, titles=None, *, roles="input", title=None, marks=None, between=None, decimals=None):
    """Draw small arrays side by side, the number in every cell. A cell that is not finite stays blank.

    Parameters
    ----------
    arrays : list of array, each (rows, columns) or (columns,)
    titles : list of str, one for each array
    roles : str or list of str
        A key of `COLORS` for each array: what it is decides its colour.
    title : str
        The finding.
    marks : list of list of (row, column, height, width)
        Rectangles to outline, one list for each array.
    between : list of str
        Signs to write between neighbours, such as ``["∗", "="]``.
    decimals : int
        Digits after the point; by default none for whole numbers, two otherwise.
    """
    arrays = [_small("arrays", array) for array in _list("arrays", arrays, 1, 48)]
    count = len(arrays)
    decimals = decimals if decimals is None else whole_number("decimals", decimals, minimum=0)
    roles = _list("roles", [roles] * count if isinstance(roles, str) else roles, count)
    titles = _list("titles", titles or [""] * count, count)
    marks = _list("marks", marks or [()] * count, count)
    between = _list("between", between or [""] * (count - 1), count - 1) + [""]
    widths = [array.shape[1] for array in arrays]
    _check(sum(widths) <= 48, f"arrays are {sum(widths)} cells wide together: numbers have room in 48")
    gap, height = 1.1, max(len(array) for array in arrays)
    cell = min(0.46, 10.5 / (sum(widths) + gap * count))
    size = cell * (sum(widths) + gap * count) + 0.2, cell * height + (1.1 if title else 0.6)
    figure, row = plt.subplots(1, count, figsize=size, width_ratios=widths, squeeze=False)
    for index, axes in enumerate(row[0]):
        array, role = arrays[index], roles[index]
        draw_grid(axes, array, role, decimals, size=min(11, cell * 25))
        axes.set_title(titles[index], color=COLORS[role], fontsize=10.5)
        for mark in _list("marks", marks[index], 0, 99):
            draw_outline(axes, *_inside("marks", mark, array.shape))
        if between[index]:
            place = array.shape[1] - 0.5 + gap / 2, len(array) / 2 - 0.5
            axes.text(*place, between[index], ha="center", va="center", fontsize=16, clip_on=False)
    _name(figure, title)
    return figure, row[0]


@_styled
def convolution_step(image, kernel, row, column, output, *, title=None):
    """Draw one step of a convolution: the window, the kernel, the products, and where their sum goes.

    `image` is (height, width), `kernel` (rows, columns), `output` the whole result; the window starts at
    (`row`, `column`) of the image, with stride 1. Steps not reached yet are left blank.
    """
    image, kernel, output = _convolution(image, kernel, output)
    row, column = whole_number("row", row, minimum=0), whole_number("column", column, minimum=0)
    window = _inside("window", (row, column, *kernel.shape), image.shape)
    products = image[row : row + len(kernel), column : column + kernel.shape[1]] * kernel
    shown = output.astype(float)
    shown.ravel()[row * shown.shape[1] + column + 1 :] = np.nan
    return grids.__wrapped__(
        [image, kernel, products, shown],
        ["input", "kernel", "products", "output so far"],
        roles=["input", "kernel", "neutral", "output"],
        marks=[[window], [], [], [(row, column, 1, 1)]],
        between=["∗", "→", "Σ"],
        title=title,
    )


@_styled
def filmstrip(image, kernel, output, *, stride=1, title=None):
    """Draw every step of a small convolution as a strip of frames, in reading order."""
    image, kernel, output = _convolution(image, kernel, output, stride)
    rows, columns = output.shape
    _check(output.size <= 36, f"output has shape {output.shape}: a filmstrip has room for 36 frames")
    figure, frames = plt.subplots(rows, columns, figsize=(1.9 * columns, 1.95 * rows + 0.5), squeeze=False)
    for (row, column), axes in np.ndenumerate(frames):
        draw_grid(axes, image, "input", None, size=8)
        draw_outline(axes, row * stride, column * stride, *kernel.shape)
        axes.set_title(f"sum {output[row, column]:g}", color=COLORS["output"], fontsize=10)
    _name(figure, title)
    return figure, frames


@_styled
def windows(size, kernel, *, stride=1, padding=0, dilation=1, transposed=False, title=None):
    """Draw one axis of an input as a strip of pixels and, under it, what each window reads.

    Padding (as `arithmetic` takes it) is hatched; a pixel that no window reads is outlined. With `transposed`,
    the strip is the output, and under it stands where each of the `size` inputs stamps the kernel; what the
    padding cuts off is hatched.
    """
    settings = {"stride": stride, "dilation": dilation}
    if transposed:
        size = transposed_conv_output_size(size, kernel, padding=padding, **settings)
    outputs, before, after = place_windows(size, kernel, padding, **settings)
    _check(size + before + after <= 64, f"size={size} with its padding is too wide: 64 pixels have room")
    strip, tap_name = ("output", "input") if transposed else ("input", "output")
    reach, starts = dilation * (kernel - 1) + 1, [stride * index - before for index in range(outputs)]
    met = {start + dilation * tap for start in starts for tap in range(kernel)}
    width, height = 0.42 * (size + before + after) + 2.2, 0.3 * (outputs + 2) + 0.75
    figure, axes = plt.subplots(figsize=(width, height))
    for pixel in range(-before, size + after):
        blank = "" if transposed else "0"
        _pixel(axes, pixel, COLORS[strip], real=0 <= pixel < size, met=pixel in met, blank=blank)
    for index, start in enumerate(starts):
        y = -0.75 * (index + 1)
        axes.plot([start + 0.46, start + reach - 0.54], [y + 0.25] * 2, color=COLORS["kernel"], lw=1)
        for tap in range(kernel):
            axes.add_patch(Rectangle((start + dilation * tap, y), 0.92, 0.5, fc=COLORS["kernel"], ec="none"))
        look = {"va": "center", "fontsize": 9, "color": COLORS[tap_name]}
        axes.text(size + after + 0.3, y + 0.25, f"{tap_name} {index}", **look)
    axes.set(xlim=(-before - 0.2, size + after + 2.4), ylim=(-0.75 * outputs - 0.2, 1.0))
    axes.axis("off")
    axes.set_title(title, loc="left")
    return figure, axes


def _pixel(axes, place, color, *, real, met, blank):
    """One pixel of a strip: filled when a window meets it, outlined when none does, hatched when it is padding."""
    edge = COLORS["highlight"] if real and not met else COLORS["neutral"]
    look = {"fc": color if real and met else "white", "ec": edge, "lw": 1 if met else 2}
    hatch = {} if real else {"hatch": "///", "hatch_linewidth": 0.5}
    axes.add_patch(Rectangle((place, 0), 0.92, 0.8, **hatch, **look))
    label = {"s": str(place) if real else blank, "color": "white" if real and met else edge, "fontsize": 9}
    box = {"fc": "white", "ec": "none", "pad": 1.5} if blank and not real else None
    axes.text(place + 0.46, 0.4, ha="center", va="center", bbox=box, **label)


def draw_grid(axes, array, role, decimals, size):
    """Draw one array into given axes, the numbers in type of this ``size``."""
    array = np.asarray(array, dtype=float)
    known = array[np.isfinite(array)]
    if decimals is None:
        decimals = 0 if np.array_equal(known, np.round(known)) else 2
    shown = _show(axes, array, role)
    for (row, column), value in np.ndenumerate(array):
        if np.isfinite(value):
            _number(axes, row, column, f"{value + 0.0:.{decimals}f}", size, shown.to_rgba(value))
    axes.set_xticks(np.arange(array.shape[1] + 1) - 0.5, [])
    axes.set_yticks(np.arange(array.shape[0] + 1) - 0.5, [])
    axes.grid(color="#C8C8C8", linewidth=0.8)
    axes.tick_params(length=0)
    axes.spines[:].set(visible=True, color=COLORS[role], linewidth=1.5)


def draw_outline(axes, top, left, rows, columns, color=COLORS["highlight"]):
    """Outline a rectangle of cells."""
    look = {"fill": False, "ec": color, "lw": 2.8, "zorder": 3, "clip_on": False}
    axes.add_patch(Rectangle((left - 0.5, top - 0.5), columns, rows, **look))


def _show(axes, values, role):
    """Colour the cells: grey for negative, white for zero, the role's colour for positive."""
    _check(role in list(COLORS), f"role={role!r} must be one of {', '.join(COLORS)}")
    values = np.ma.masked_invalid(np.asarray(values, dtype=float))  # unsigned pixels have no minus
    shades = LinearSegmentedColormap.from_list(role, ["#4D4D4D", "white", COLORS[role]])
    limit = max(np.abs(values).max(), 1e-12) if values.count() else 1
    return axes.imshow(values, cmap=shades, vmin=-limit, vmax=limit)


def _name(figure, title):
    if title:
        figure.suptitle(title, x=0.01, ha="left")


def _number(axes, row, column, label, size, background):
    """Write into a cell, black or white, whichever reads better on its colour."""
    red, green, blue = background[:3]
    ink = "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.55 else "#222222"
    axes.text(column, row, label, ha="center", va="center", fontsize=size, color=ink)


# ----------------------------------------------------------------------------------------------------------- images


@_styled
def images(pictures, titles=None, *, columns=None, title=None, signed=False, scale=1.5):
    """Draw pictures side by side; a pixel that is nan stays blank.

    Parameters
    ----------
    pictures : list of array
        Each (height, width) or (height, width, 1), or in colour (height, width, 3) of integers from 0 to 255
        or floats from 0 to 1.
    titles : list of str, one for each picture
    columns : int
        Pictures in a row; by default up to eight.
    signed : bool or list of bool
        Centre the colours on zero: grey below, white at zero, green above. Otherwise each grayscale picture runs
        from its own darkest (black) to its own brightest pixel (white).
    scale : float
        Width of a picture in inches.
    """
    pictures = [_picture(picture) for picture in _list("pictures", pictures, 1, 400)]
    count = len(pictures)
    signed = _list("signed", [signed] * count if np.ndim(signed) == 0 else signed, count)
    titles = titles if titles is None else _list("titles", titles, count)
    columns = min(count, 8 if columns is None else whole_number("columns", columns))
    _check(isinstance(scale, Real) and scale > 0, f"scale={scale!r} must be a number of inches, above zero")
    rows = -(-count // columns)
    tallest = max(picture.shape[0] / picture.shape[1] for picture in pictures)
    height = (scale * tallest + (0.3 if titles else 0)) * rows + (0.45 if title else 0)
    size = scale * columns, height
    _check(max(size) <= 200, f"pictures: with scale={scale} and columns={columns} 200 inches are not enough")
    figure, frames = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for axes in frames.flat:
        axes.axis("off")
    for index, picture in enumerate(pictures):
        axes = frames.flat[index]
        if signed[index]:
            _check(picture.ndim == 2, "signed: a colour picture has no values below zero")
            _show(axes, picture, "output")
        else:
            axes.imshow(picture)
        axes.set_title(titles[index] if titles else "", fontsize=10)
    _name(figure, title)
    return figure, frames


@_styled
def matrix(
    values,
    *,
    title=None,
    row_labels=None,
    column_labels=None,
    xlabel=None,
    ylabel=None,
    role="input",
    numbers=False,
):
    """Draw a matrix as coloured cells: a confusion matrix, or the sparse matrix of a convolution.

    With `numbers`, every non-zero cell shows its value.
    """
    values = _array("values", values, 2, "(rows, columns)").astype(float)
    _check(np.isfinite(values).all(), "values holds nan or inf: every cell must be a finite number")
    rows, columns = values.shape
    figure, axes = plt.subplots(figsize=(min(9, 0.45 * columns + 1.4), min(7.5, 0.45 * rows + 1.4)))
    shown = _show(axes, values, role)
    if numbers:
        _check(values.size <= 1600, f"values has shape {values.shape}: numbers have room in up to 1600 cells")
        for (row, column), value in np.ndenumerate(values):
            if value:
                _number(axes, row, column, f"{value:g}", 8.5, shown.to_rgba(value))
    for name, axis, labels, count in (
        ("row_labels", axes.yaxis, row_labels, rows),
        ("column_labels", axes.xaxis, column_labels, columns),
    ):
        axis.set_ticks([]) if labels is None else axis.set_ticks(range(count), _list(name, labels, count))
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.set_title(title, loc="left")
    axes.spines[:].set(visible=True, color="#C8C8C8")
    axes.tick_params(length=0)
    return figure, axes


# ----------------------------------------------------------------------------------------------------------- curves


@_styled
def curves(
    lines,
    *,
    title=None,
    xlabel=None,
    ylabel=None,
    styles=None,
    log=False,
    marks=None,
    bands=None,
    size=(8, 3.6),
):
    """Draw named lines.

    Parameters
    ----------
    lines : dict of str to (x, y)
        Named in a legend beside the axes when there is more than one.
    styles : dict of str to dict
        Matplotlib options for a line, such as ``{"color": COLORS["input"], "marker": "o"}``.
    log : bool
        A logarithmic y axis.
    marks : dict of str to float
        Vertical lines to name, at an x.
    bands : dict of str to (low, high)
        The range of a line, for example over seeds: an area in the line's colour.
    """
    _check(isinstance(lines, dict) and lines, "lines must be a dict of name to (x, y), and not empty")
    styles, bands = _named("styles", styles, lines), _named("bands", bands, lines)
    figure, axes = plt.subplots(figsize=_list("size", size, 2))
    for name, line in lines.items():
        x, y = _points(f"lines[{name!r}]", line, log)
        (drawn,) = axes.plot(x, y, label=name, **{"lw": 2, **styles.get(name, {})})
        if name in bands:
            low, high = _list(f"bands[{name!r}]", bands[name], 2)
            low, high = (_points(f"bands[{name!r}]", (x, edge), log)[1] for edge in (low, high))
            axes.fill_between(x, low, high, color=drawn.get_color(), alpha=0.2, lw=0)
    if log:
        axes.set_yscale("log")
    for name, x in _named("marks", marks).items():
        axes.axvline(x, color=COLORS["neutral"], lw=1, ls="--")
        look = {"va": "top", "fontsize": 9.5, "color": COLORS["neutral"]}
        axes.annotate(f" {name}", (x, 0.98), xycoords=("data", "axes fraction"), **look)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.set_title(title, loc="left")
    if len(lines) > 1:
        axes.legend(fontsize=10, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure, axes


@_styled
def descent(cost, path, *, xlim, ylim, xlabel, ylabel, title=None):
    """Draw a cost of two parameters as contours, and the path that gradient descent took over it.

    `cost` maps two arrays (grids of the two parameters) to an array of costs; `path` is (steps, 2).
    """
    path = _array("path", path, 2, "(steps, 2)")
    _check(path.shape[1] == 2, f"path has shape {path.shape}: it must be (steps, 2)")
    xlim, ylim = _limits("xlim", xlim), _limits("ylim", ylim)
    first, second = np.meshgrid(np.linspace(*xlim, 120), np.linspace(*ylim, 120))
    height = _array("cost", cost(first, second), 2, "one number for each pair of parameters")
    _check(
        0 < height.max() < np.inf, f"cost reaches {height.max()}: it must be finite, and positive somewhere"
    )
    figure, axes = plt.subplots(figsize=(6.4, 4.2))
    levels = np.geomspace(max(height.min(), height.max() * 1e-4), height.max(), 14)
    axes.contourf(first, second, height, levels=levels, cmap="Greys", alpha=0.35, norm="log", extend="both")
    axes.plot(*path.T, "o-", color=COLORS["gradient"], ms=4, lw=1.5)
    axes.annotate("start", path[0], textcoords="offset points", xytext=(0, 8), ha="center")
    axes.plot(*path[-1], "*", color=COLORS["highlight"], ms=14)
    axes.set(xlim=xlim, ylim=ylim, xlabel=xlabel, ylabel=ylabel)
    axes.set_title(title, loc="left")
    return figure, axes


# ----------------------------------------------------------------------------------------------------------- graphs


@_styled
def graph(nodes, *, notes=None, title=None, backward=None):
    """Draw a directed graph from left to right.

    Parameters
    ----------
    nodes : list of (name, operation, inputs)
        In an order in which inputs come first, as `graphs.nodes` reads them from a traced function.
    notes : dict of str to str
        More lines for a node, such as its value or its gradient.
    backward : dict of (str, str) to str
        What flows back along an edge, from the later node to the earlier one: an arrow with this label.
    """
    inputs_of = _inputs(nodes)
    edges = [
        (name, source) for name in inputs_of for source in inputs_of[name]
    ]  # from the later to the earlier
    notes, backward = _named("notes", notes, inputs_of), _named("backward", backward, edges)
    place, wide = _places(inputs_of), 2.3 if backward else 2.1
    columns, tallest = 1 + max(x for x, _ in place.values()), 1 + 2 * max(y for _, y in place.values())
    lines = (3 if backward else 2) + max((1 + str(note).count("\n") for note in notes.values()), default=0)
    figure, axes = plt.subplots(figsize=(wide * columns + 0.2, (0.3 + 0.21 * lines) * tallest + 0.4))
    boxes = {}
    for name, operation, inputs in nodes:
        read = any(source == name for _, source in edges)
        role = "input" if not inputs else "neutral" if read else "output"
        label = f"{name}\n{operation}" + (f"\n{notes[name]}" if name in notes else "")
        frame = {"boxstyle": "round,pad=0.45", "fc": "white", "ec": COLORS[role], "lw": 1.8}
        middle = {"ha": "center", "va": "center", "fontsize": 10, "linespacing": 1.25, "zorder": 3}
        boxes[name] = axes.text(*place[name], label, bbox=frame, **middle)
    axes.set(xlim=(-0.9 / wide, columns - 1 + 0.9 / wide), ylim=(-0.5 * tallest, 0.5 * tallest))
    axes.axis("off")
    axes.set_title(title, loc="left")
    figure.draw_without_rendering()  # now the boxes have their sizes, and arrows can end at them
    for name, source in edges:
        value = backward.get((name, source))
        _arrow(axes, boxes[source], boxes[name], "#9A9A9A", aside=0 if value is None else 4)
        if value is not None:
            _arrow(axes, boxes[name], boxes[source], COLORS["gradient"], aside=4, label=value)
    return figure, axes


def _inputs(nodes):
    """The inputs of each node, by its name, once it is known that they come before it."""
    inputs_of = {}
    for node in _list("nodes", nodes, 1, 200):
        name, _, inputs = _list("nodes", node, 3)
        _check(name not in inputs_of, f"nodes: {name!r} must stand there once")
        for source in _list("nodes", inputs, 0, 200):
            _check(source in inputs_of, f"nodes: {name!r} reads {source!r}, which must come before it")
        inputs_of[name] = tuple(inputs)
    return inputs_of


def _places(inputs_of):
    """Where each node stands: one column behind its inputs, ordered by where these stand."""
    depth, place = {}, {}
    for name, inputs in inputs_of.items():
        depth[name] = 1 + max((depth[source] for source in inputs), default=-1)
    for level in range(1 + max(depth.values())):
        names = [name for name in depth if depth[name] == level]
        if level:
            names.sort(key=lambda name: -np.mean([place[source][1] for source in inputs_of[name]]))
        for index, name in enumerate(names):
            place[name] = level, (len(names) - 1) / 2 - index
    return place


def _arrow(axes, start, end, color, aside, label=None):
    """An arrow from box to box, as many pixels to its left as ``aside`` says, and beside it a label."""
    start, end = start.get_bbox_patch().get_window_extent(), end.get_bbox_patch().get_window_extent()
    here, there = (start.p0 + start.p1) / 2, (end.p0 + end.p1) / 2
    way = (there - here) / np.hypot(*(there - here))
    left, to_data = np.array([-way[1], way[0]]), axes.transData.inverted().transform
    tail = here + aside * left + way * (_way_out(start, aside * left, way) + 3)
    head = there + aside * left - way * (_way_out(end, aside * left, -way) + 3)
    look = {"arrowstyle": "-|>", "mutation_scale": 14, "color": color, "lw": 1.3, "shrinkA": 0, "shrinkB": 0}
    axes.add_patch(FancyArrowPatch(*to_data([tail, head]), **look))
    if label is not None:
        text = axes.text(0, 0, label, ha="center", va="center", fontsize=9.5, color=color, weight="bold")
        away = 3 + np.abs(left) @ text.get_window_extent().size / 2
        text.set_position(to_data((tail + head) / 2 + away * left))


def _way_out(box, offset, way):
    """How far it is to the edge of a box, from this offset to its middle."""
    to_edge = (box.size / 2 - offset * np.sign(way)) / np.maximum(np.abs(way), 1e-9)
    return to_edge.min()


# What is checked before anything is drawn.


def _check(right, message):
    if not right:
        raise ValueError(message)


def _list(name, values, least, most=None):
    """``values`` as a list of ``least`` to ``most`` entries; of exactly ``least`` when there is no ``most``."""
    _check(np.iterable(values), f"{name}={values!r} must be a list")
    values, most = list(values), least if most is None else most
    rule = f"{least}" if least == most else f"{least} to {most}"
    _check(least <= len(values) <= most, f"{name} holds {len(values)}: it must hold {rule}")
    return values


def _named(name, values, known=None):
    """``values`` as a dict, of ``known`` names only when these are given."""
    values = {} if values is None else values
    _check(isinstance(values, dict), f"{name}={values!r} must be a dict")
    for key in values:
        _check(known is None or key in known, f"{name} names {key!r}: it must be one of {list(known or ())}")
    return values


def _array(name, value, axes, what):
    """``value`` as an array with this number of axes, none of them empty."""
    array = as_array(name, value)
    _check(array.ndim == axes and array.size, f"{name} has shape {array.shape}: it must be {what}, not empty")
    return array


def _small(name, value):
    """An array that has room for a number in every cell, as (rows, columns)."""
    array = _array(name, np.atleast_2d(as_array(name, value)), 2, "(rows, columns) or (columns,)")
    rule = "numbers have room in 16 rows and 32 columns; `images` draws more"
    _check(len(array) <= 16 and array.shape[1] <= 32, f"{name} has shape {array.shape}: {rule}")
    return array


def _convolution(image, kernel, output, stride=1):
    """The three arrays, once it is known that they belong together."""
    image, kernel, output = _small("image", image), _small("kernel", kernel), _small("output", output)
    sides = [conv_output_size(image.shape[axis], kernel.shape[axis], stride=stride) for axis in (0, 1)]
    rule = f"it must be {tuple(sides)}, one number for each window"
    _check(output.shape == tuple(sides), f"output has shape {output.shape}: {rule}")
    return image, kernel, output


def _inside(name, box, shape):
    """A box (row, column, height, width) of whole numbers that lies inside an array of this shape."""
    rule = f"must be (row, column, height, width) inside {shape}"
    top, left, rows, columns = (whole_number(name, side, 0) for side in _list(name, box, 4))
    right = rows and columns and top + rows <= shape[0] and left + columns <= shape[1]
    _check(right, f"{name}={tuple(box)} {rule}")
    return top, left, rows, columns


def _picture(value):
    """A picture as (height, width) or, in colour, (height, width, 3)."""
    array = np.squeeze(as_array("pictures", value))
    colour = array.ndim == 3 and array.shape[-1] == 3
    rule = "it must be (height, width), (height, width, 1) or, in colour, (height, width, 3)"
    _check(array.size and (array.ndim == 2 or colour), f"pictures holds the shape {np.shape(value)}: {rule}")
    right = not np.isinf(array).any() and not np.isnan(array).all()
    _check(right, "pictures holds inf, or nothing but nan: pixels must be finite; nan stays blank")
    low, high, most = np.nanmin(array), np.nanmax(array), 1 if array.dtype.kind == "f" else 255
    rule = "must be integers from 0 to 255 or floats from 0 to 1"
    _check(not colour or (low >= 0 and high <= most), f"pictures: colours from {low} to {high} {rule}")
    return array


def _points(name, line, log):
    """A line as its x, of any kind, and as many numbers y."""
    x, y = _list(name, line, 2)
    y = _array(name, y, 1, "(x, y), two lists")
    _check(np.iterable(x) and len(x) == len(y), f"{name} must have as many x as y, {len(y)}")
    low = y[y <= 0]
    _check(
        not (log and low.size), f"{name} holds {low.min(initial=0)}: with log=True every y must be above 0"
    )
    return x, y


def _limits(name, value):
    """Two numbers, the lower one first."""
    limits = _array(name, _list(name, value, 2), 1, "(low, high)")
    _check(limits[0] < limits[1], f"{name}={value} must be (low, high), the lower one first")
    return limits
