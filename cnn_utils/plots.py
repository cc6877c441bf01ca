"""Every figure of the course: one style, one palette.

Each function draws one kind of picture and returns ``(figure, axes)``; Jupyter shows the picture, not the pair.
Colours mean the same thing everywhere: see `COLORS`. A negative number is grey, whatever the role. What cannot
be drawn raises a ``ValueError`` that names the argument, its value and the rule.
"""

from contextlib import contextmanager
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import FancyArrowPatch, Rectangle

from cnn_utils.arithmetic import place_windows, transposed_conv_output_size, whole_number
from cnn_utils.reference.windows import as_array

COLORS = {  # Okabe and Ito's palette, which survives colour blindness, in the order in which lines take them
    "input": "#0072B2",
    "highlight": "#D55E00",
    "output": "#009E73",
    "kernel": "#E69F00",
    "gradient": "#CC79A7",
    "other": "#56B4E9",
    "neutral": "#6B6B6B",
}
STYLE = {
    "figure.dpi": 100,
    "figure.constrained_layout.use": True,
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titley": 1.0,  # no axis stands above: to search for one takes most of the time of a figure
    "figure.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": plt.cycler(color=list(COLORS.values())),
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


def _finished(figure, axes):
    """Jupyter draws what it shows. Pyplot would draw it before, for nobody, but to lay it out once more, which this does."""
    if plt.get_backend().endswith("inline"):
        plt.uninstall_repl_displayhook()
        figure.get_layout_engine().execute(figure)
    return Drawing(figure, axes)


@contextmanager
def style():
    """Draw in the course's style, leaving the reader's own settings alone."""
    # rc_context would also undo what Jupyter's backend sets on first use, and no picture would be shown
    before = {key: plt.rcParams[key] for key in STYLE}
    plt.rcParams.update(STYLE)
    try:
        yield
    finally:
        plt.rcParams.update(before)


@style()
def grids(arrays, titles="", *, roles="input", title="", marks=None, between=None, columns=None, cell=0.46):
    """Draw small arrays side by side, the number in every cell. A cell that is not finite stays blank.

    Parameters
    ----------
    arrays : each (rows, columns) or (columns,)
    titles : one for each array
    roles : for each array, or for all, a key of `COLORS`: what it is decides its colour
    title : the finding
    marks : for each array a list of rectangles to outline, each (row, column, height, width)
    between : signs to write between neighbours, such as ``["∗", "="]``
    columns : arrays in a row, at most
    cell : width of a cell in inches, at most
    """
    arrays = [_table("arrays", array) for array in _list("arrays", arrays)]
    count, gap = len(arrays), 1.1
    roles, titles = _each("roles", roles, count), _each("titles", titles, count)
    marks = _list("marks", marks or [()] * count, count)
    between = [*_list("between", between or [""] * (count - 1), count - 1), ""]
    columns = count if columns is None else min(count, whole_number("columns", columns))
    rows, height = -(-count // columns), max(len(array) for array in arrays)
    widths = [max(array.shape[1] for array in arrays[column::columns]) for column in range(columns)]
    cell = min(cell, 10.5 / (sum(widths) + gap * columns))
    size = cell * (sum(widths) + gap * columns) + 0.2, (cell * height + 0.6) * rows + (0.5 if title else 0)
    figure, frames = plt.subplots(rows, columns, figsize=size, width_ratios=widths, squeeze=False)
    plt.setp(frames.flat[count:], frame_on=False, xticks=[], yticks=[])
    parts = zip(frames.flat, arrays, titles, roles, marks, between, strict=False)
    for axes, array, name, role, boxes, sign in parts:
        draw_grid(axes, array, role, None, size=min(11, cell * 25))
        axes.set_title(name, color=COLORS[role], fontsize=10.5)
        for box in _list("marks", boxes, least=0):
            draw_outline(axes, *_list("marks", box, 4))
        if sign:
            place = array.shape[1] - 0.5 + gap / 2, len(array) / 2 - 0.5
            axes.text(*place, sign, ha="center", va="center", fontsize=16)
    figure.suptitle(title, x=0.01, ha="left")
    return _finished(figure, frames.ravel()[:count])


@style()
def windows(size, kernel, *, stride=1, padding=0, dilation=1, transposed=False, title=""):
    """Draw one axis of an input as a strip of pixels and, under it, what each window reads.

    Padding (as `arithmetic` takes it) is hatched; a pixel that no window reads is outlined. With `transposed`,
    the strip is the output, and under it stands where each of the `size` inputs stamps the kernel; what the
    padding cuts off is hatched.
    """
    if transposed:
        size = transposed_conv_output_size(size, kernel, stride=stride, padding=padding, dilation=dilation)
    outputs, before, after = place_windows(size, kernel, padding, stride=stride, dilation=dilation)
    strip, row = ("output", "input") if transposed else ("input", "output")
    starts = [stride * index - before for index in range(outputs)]
    taps = [range(start, start + dilation * kernel, dilation) for start in starts]
    pixels, met = range(-before, size + after), set().union(*taps)
    figure, axes = plt.subplots(figsize=(0.42 * len(pixels) + 2.2, 0.3 * (outputs + 2) + 0.75))
    for pixel in pixels:
        real, read = 0 <= pixel < size, pixel in met
        edge = COLORS["highlight" if real and not read else "neutral"]
        fill, ink = (COLORS[strip], "white") if real and read else ("white", edge)
        look = {"lw": 1 if read else 2, "hatch": None if real else "///", "hatch_linewidth": 0.5}
        bar = axes.bar(pixel, 0.8, 0.92, color=fill, ec=edge, **look)
        axes.bar_label(bar, [pixel if real else ""], label_type="center", color=ink, fontsize=9)
    for index, window in enumerate(taps):
        y = -0.5 - 0.75 * index
        axes.plot([window[0], window[-1]], [y, y], color=COLORS["kernel"], lw=1)
        axes.bar(window, 0.5, 0.92, y - 0.25, color=COLORS["kernel"])
        axes.text(size + after - 0.16, y, f"{row} {index}", color=COLORS[row], fontsize=9, va="center")
    axes.set(xlim=(-before - 0.66, size + after + 1.94), ylim=(-0.75 * outputs - 0.2, 1.0))
    axes.axis("off")
    axes.set_title(title, loc="left")
    return _finished(figure, axes)


def draw_grid(axes, array, role, decimals, size):
    """Draw one array into given axes, the numbers in type of this ``size``."""
    shown = _show(axes, array, role)
    values = shown.get_array()
    if decimals is None:
        decimals = 0 if (values == values.round()).all() else 2
    _numbers(axes, shown, values, f".{decimals}f", size)
    axes.set_xticks(np.arange(values.shape[1] + 1) - 0.5, [])
    axes.set_yticks(np.arange(values.shape[0] + 1) - 0.5, [])
    axes.grid(color="#C8C8C8", linewidth=0.8)
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
    limit = np.abs(values).filled(0).max() or 1
    axes.tick_params(length=0)
    return axes.imshow(values, cmap=shades, vmin=-limit, vmax=limit)


def _numbers(axes, shown, values, form, size):
    """Write the numbers that are not masked, black or white, whichever reads better on the cell's colour."""
    for (row, column), value in np.ma.ndenumerate(values):
        ink = "white" if np.dot(shown.to_rgba(value), (0.299, 0.587, 0.114, 0)) < 0.55 else "#222222"
        look = {"fontsize": size, "color": ink, "in_layout": False}  # it has its place
        axes.text(column, row, format(value + 0.0, form), ha="center", va="center", **look)


@style()
def images(pictures, titles="", *, columns=8, title="", signed=False, scale=1.5):
    """Draw pictures side by side; a pixel that is not finite stays blank.

    Parameters
    ----------
    pictures : each (height, width), (height, width, 1) or, in colour (0 to 255, or 0.0 to 1.0), (height, width, 3)
    titles : one for each picture
    columns : pictures in a row, at most
    signed : for each picture, or for all: centre the shades on zero, grey below, white at zero, green above;
        otherwise they run from the picture's own darkest pixel (black) to its own brightest (white)
    scale : width of a picture in inches
    """
    pictures = [_picture(picture) for picture in _list("pictures", pictures)]
    count = len(pictures)
    signed, columns = _each("signed", signed, count), min(count, whole_number("columns", columns))
    titles = _each("titles", titles, count)
    rows, caption = -(-count // columns), 0.3 if any(titles) else 0
    tallest = max(picture.shape[0] / picture.shape[1] for picture in pictures)
    size = scale * columns, (scale * tallest + caption) * rows + (0.45 if title else 0)
    figure, frames = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for axes in frames.flat:
        axes.axis("off")
    for axes, picture, name, centred in zip(frames.flat, pictures, titles, signed, strict=False):
        if centred and picture.ndim == 2:
            _show(axes, picture, "output")
        else:
            axes.imshow(picture)
        axes.set_title(name, fontsize=10)
    figure.suptitle(title, x=0.01, ha="left")
    return _finished(figure, frames)


@style()
def matrix(
    values, *, title="", role="input", numbers=False, row_labels=(), column_labels=(), xlabel="", ylabel=""
):
    """Draw a matrix as coloured cells: a confusion matrix, or the sparse matrix of a convolution.

    With `numbers`, every non-zero cell shows its value. A cell that is not finite stays blank.
    """
    values = _table("values", values)
    rows, columns = values.shape
    figure, axes = plt.subplots(figsize=(min(9, 0.45 * columns + 1.4), min(7.5, 0.45 * rows + 1.4)))
    shown = _show(axes, values, role)
    if numbers:
        _numbers(axes, shown, np.ma.masked_equal(shown.get_array(), 0), "g", 8.5)
    axes.set_xticks(range(columns) if len(column_labels) else [], column_labels)
    axes.set_yticks(range(rows) if len(row_labels) else [], row_labels)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.set_title(title, loc="left")
    axes.spines[:].set(visible=True, color="#C8C8C8")
    return _finished(figure, axes)


@style()
def curves(
    lines, *, title="", xlabel="", ylabel="", styles=None, log=False, marks=None, bands=None, size=(8, 3.6)
):
    """Draw named lines; of several, the names stand in a legend beside the axes.

    Parameters
    ----------
    lines : dict of name to (x, y)
    styles : dict of name to Matplotlib's options, such as ``{"color": COLORS["input"], "marker": "o"}``
    log : whether the y axis is logarithmic
    marks : dict of name to x, where a vertical line is to stand
    bands : dict of name to (low, high), the range of that line, for example over seeds
    """
    _check(isinstance(lines, dict) and lines, "lines must be a dict of name to (x, y), and not empty")
    styles, bands = _named("styles", styles, lines), _named("bands", bands, lines)
    figure, axes = plt.subplots(figsize=_list("size", size, 2))
    for name, line in lines.items():
        x, y = _list(f"lines[{name!r}]", line, 2)
        band = _list(f"bands[{name!r}]", bands[name], 2) if name in bands else []
        heights = _table(f"lines[{name!r}]", [y, *band])
        rule = "with log=True every y must be above 0"
        _check(not (log and (heights <= 0).any()), f"lines[{name!r}] reaches {heights.min()}: {rule}")
        (drawn,) = axes.plot(x, heights[0], label=name, **{"lw": 2, **styles.get(name, {})})
        if band:
            axes.fill_between(x, *heights[1:], color=drawn.get_color(), alpha=0.2, lw=0)
    for name, x in dict(marks or {}).items():
        axes.axvline(x, color=COLORS["neutral"], lw=1, ls="--")
        look = {"va": "top", "fontsize": 9.5, "color": COLORS["neutral"]}
        axes.text(x, 0.98, f" {name}", transform=axes.get_xaxis_transform(), **look)
    axes.set(xlabel=xlabel, ylabel=ylabel, yscale="log" if log else "linear")
    axes.set_title(title, loc="left")
    if len(lines) > 1:
        axes.legend(fontsize=10, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return _finished(figure, axes)


@style()
def descent(cost, path, *, xlim, ylim, xlabel, ylabel, title=""):
    """Draw a cost of two parameters as contours, and the path that gradient descent took over it.

    `cost` maps two arrays (grids of the two parameters) to an array of costs; `path` is (steps, 2).
    """
    path = _table("path", path)
    _check(path.shape[1] == 2, f"path has shape {path.shape}: it must be (steps, 2)")
    sides = _list("xlim", xlim, 2), _list("ylim", ylim, 2)
    first, second = np.meshgrid(*(np.linspace(*side, 120) for side in sides))
    height = as_array("cost", cost(first, second))
    right = height.shape == first.shape and 0 < height.max() < np.inf
    _check(right, "cost must give a finite number for each pair of parameters, somewhere a positive one")
    figure, axes = plt.subplots(figsize=(6.4, 4.2))
    levels = np.geomspace(max(height.min(), height.max() * 1e-4), height.max(), 14)
    axes.contourf(first, second, height, levels=levels, cmap="Greys", alpha=0.35, norm="log", extend="both")
    axes.plot(*path.T, "o-", color=COLORS["gradient"], ms=4, lw=1.5)
    axes.annotate("start", path[0], textcoords="offset points", xytext=(0, 8), ha="center")
    axes.plot(*path[-1], "*", color=COLORS["highlight"], ms=14)
    # with equal units, a step along the gradient crosses its contour at a right angle
    axes.set(xlim=xlim, ylim=ylim, xlabel=xlabel, ylabel=ylabel, aspect="equal")
    axes.set_title(title, loc="left")
    return _finished(figure, axes)


@style()
def graph(nodes, *, notes=None, title="", backward=None):
    """Draw a directed graph from left to right.

    `nodes` are (name, operation, inputs), inputs first, as `graphs.nodes` reads them from a traced function.
    `notes` maps a name to more lines for its node, such as a value or a gradient; `backward` maps
    (later, earlier) to what flows back along this edge: an arrow with this label.
    """
    nodes = _list("nodes", nodes)
    place, wide = _places(nodes), 2.3 if backward else 2.1
    edges = [(name, source) for name, _, inputs in nodes for source in inputs]
    notes, backward = _named("notes", notes, place), _named("backward", backward, edges)
    columns, tallest = 1 + max(x for x, _ in place.values()), 1 + 2 * max(y for _, y in place.values())
    lines = (3 if backward else 2) + max((1 + str(note).count("\n") for note in notes.values()), default=0)
    figure, axes = plt.subplots(figsize=(wide * columns + 0.2, (0.3 + 0.21 * lines) * tallest + 0.4))
    boxes, read = {}, {source for _, source in edges}
    for name, operation, inputs in nodes:
        role = "input" if not inputs else "neutral" if name in read else "output"
        label = f"{name}\n{operation}" + (f"\n{notes[name]}" if name in notes else "")
        frame = {"boxstyle": "round,pad=0.45", "fc": "white", "ec": COLORS[role], "lw": 1.8}
        middle = {"ha": "center", "va": "center", "fontsize": 10, "linespacing": 1.25, "zorder": 3}
        boxes[name] = axes.text(*place[name], label, bbox=frame, **middle)
    axes.set(xlim=(-0.9 / wide, columns - 1 + 0.9 / wide), ylim=(-0.5 * tallest, 0.5 * tallest))
    axes.axis("off")
    axes.set_title(title, loc="left")
    figure.draw_without_rendering()  # now the boxes have their sizes, and arrows can end at them
    for edge in edges:
        later, earlier = (boxes[name] for name in edge)
        _arrow(axes, earlier, later, "#9A9A9A", aside=4 if edge in backward else 0)
        if edge in backward:
            _arrow(axes, later, earlier, COLORS["gradient"], aside=4, label=backward[edge])
    return _finished(figure, axes)


def _places(nodes):
    """Where each node stands: one column behind its inputs, ordered by where these stand."""
    inputs_of, depth, place = {}, {}, {}
    for node in nodes:
        name, _, inputs = _list("nodes", node, 3)
        _check(name not in depth, f"nodes: {name!r} must stand there once")
        for source in _list("nodes", inputs, least=0):
            _check(source in depth, f"nodes: {name!r} reads {source!r}, which must come before it")
        inputs_of[name], depth[name] = inputs, 1 + max((depth[source] for source in inputs), default=-1)
    for level in range(1 + max(depth.values())):
        names = [name for name in depth if depth[name] == level]
        names.sort(key=lambda name: -np.mean([place[source][1] for source in inputs_of[name]] or 0))
        for index, name in enumerate(names):
            place[name] = level, (len(names) - 1) / 2 - index
    return place


def _arrow(axes, start, end, color, aside, label=None):
    """An arrow from box to box, as many pixels to its left as ``aside`` says, and beside it a label."""
    middles, to_data = [start.get_position(), end.get_position()], axes.transData.inverted().transform
    tail, head = axes.transData.transform(middles)
    left = np.array([tail[1] - head[1], head[0] - tail[0]]) / np.hypot(*(head - tail))
    boxes = {"patchA": start.get_bbox_patch(), "patchB": end.get_bbox_patch(), "shrinkA": 2, "shrinkB": 2}
    look = {"arrowstyle": "-|>", "mutation_scale": 14, "color": color, "lw": 1.3}
    axes.add_patch(FancyArrowPatch(*to_data([tail + aside * left, head + aside * left]), **boxes, **look))
    if label is not None:
        text = axes.text(0, 0, label, ha="center", va="center", fontsize=9.5, color=color, weight="bold")
        away = aside + 3 + np.abs(left) @ text.get_window_extent().size / 2
        text.set_position(to_data((tail + head) / 2 + away * left))


def _check(right, message):
    if not right:
        raise ValueError(message)


def _list(name, values, count=None, least=1):
    """``values`` as a list of ``count`` entries or, if that is left open, of ``least`` or more."""
    if not np.iterable(values):  # not `_check`: to write down what is right, too, would take long
        raise ValueError(f"{name}={values!r} must be a list")
    values = list(values)
    right = len(values) >= least if count is None else len(values) == count
    rule = f"{least} or more" if count is None else count
    _check(right, f"{name} holds {len(values)}: it must hold {rule}")
    return values


def _named(name, values, known):
    """``values`` as a dict of some of the ``known`` names."""
    values = dict(values or {})
    for key in values:
        _check(key in known, f"{name} names {key!r}: it must be one of {list(known)}")
    return values


def _each(name, values, count):
    """A list of ``count`` values, or one value for all of them."""
    return _list(name, [values] * count if values is None or np.isscalar(values) else values, count)


def _table(name, value):
    """``value`` as (rows, columns); of a single row the first axis may be missing."""
    array = np.atleast_2d(as_array(name, value))
    rule = "it must be (rows, columns) or (columns,), not empty"
    _check(array.ndim == 2 and array.size, f"{name} has shape {array.shape}: {rule}")
    return array


def _picture(value):
    """A picture as (height, width) or, in colour, (height, width, 3)."""
    array = np.squeeze(as_array("pictures", value))
    colour = array.ndim == 3 and array.shape[-1] == 3
    rule = "it must be (height, width), (height, width, 1) or, in colour, (height, width, 3)"
    _check(array.size and (array.ndim == 2 or colour), f"pictures holds the shape {np.shape(value)}: {rule}")
    outside = (array < 0) | (array > (1 if array.dtype.kind == "f" else 255))
    rule = "colours must be integers from 0 to 255 or floats from 0 to 1"
    _check(not (colour and outside.any()), f"pictures holds {array[outside][:1]}: {rule}")
    return array
