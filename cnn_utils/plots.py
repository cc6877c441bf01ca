"""Every figure of the course: one style, one palette.

Each function draws one kind of picture and returns ``(figure, axes)``; Jupyter shows the picture, not the pair.
Colours mean the same thing everywhere: see `COLORS`. A negative number is grey, whatever the role.
"""

from functools import wraps
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import FancyArrowPatch, Rectangle

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
        before = {
            key: plt.rcParams[key] for key in STYLE
        }  # rc_context would also undo what Jupyter's backend sets on first use
        plt.rcParams.update(STYLE)
        try:
            return Drawing(*draw(*args, **options))
        finally:
            plt.rcParams.update(before)

    return styled


# ---------------------------------------------------------------------------------------------- arrays with numbers


@_styled
def grids(arrays, titles=None, *, roles="input", title=None, marks=None, between=None, decimals=None):
    """Draw small arrays side by side, the number in every cell.

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
    arrays = [np.atleast_2d(np.asarray(array)) for array in arrays]
    for array in arrays:
        if array.ndim != 2:
            raise ValueError(f"arrays: one has the shape {array.shape}; a grid shows one or two dimensions")
    roles = [roles] * len(arrays) if isinstance(roles, str) else roles
    widths = [array.shape[1] for array in arrays]
    gap, cell = 1.1, min(0.46, 10.5 / (sum(widths) + 1.1 * len(widths)))
    height = max(array.shape[0] for array in arrays)
    figure, row = plt.subplots(
        1,
        len(arrays),
        figsize=(cell * (sum(widths) + gap * len(widths)) + 0.2, cell * height + (1.1 if title else 0.6)),
        width_ratios=widths,
        squeeze=False,
    )
    for index, (axes, array, role) in enumerate(zip(row[0], arrays, roles, strict=True)):
        draw_grid(axes, array, role, decimals, size=min(11, cell * 25))
        axes.set_title(titles[index] if titles else "", color=COLORS[role], fontsize=10.5)
        for top, left, rows, columns in (marks or [()] * len(arrays))[index]:
            draw_outline(axes, top, left, rows, columns)
        if between and index < len(between):
            axes.text(
                array.shape[1] - 0.5 + gap / 2,
                array.shape[0] / 2 - 0.5,
                between[index],
                ha="center",
                va="center",
                fontsize=16,
                clip_on=False,
            )
    if title:
        _name(figure, title)
    return figure, row[0]


@_styled
def convolution_step(image, kernel, row, column, output, *, title=None):
    """Draw one step of a convolution: the window, the kernel, the products, and where their sum goes.

    `image` is (height, width), `kernel` (rows, columns), `output` the whole result; the window starts at
    (`row`, `column`) of the image, with stride 1. Steps not reached yet are left blank.
    """
    kernel_rows, kernel_columns = np.shape(kernel)
    window = np.asarray(image)[row : row + kernel_rows, column : column + kernel_columns]
    shown = np.array(output, dtype=float)
    shown.ravel()[row * shown.shape[1] + column + 1 :] = np.nan
    return grids.__wrapped__(
        [image, kernel, window * kernel, shown],
        ["input", "kernel", "products", "output so far"],
        roles=["input", "kernel", "neutral", "output"],
        marks=[[(row, column, kernel_rows, kernel_columns)], [], [], [(row, column, 1, 1)]],
        between=["∗", "→", "Σ"],
        title=title,
    )


@_styled
def filmstrip(image, kernel, output, *, stride=1, title=None):
    """Draw every step of a small convolution as a strip of frames, in reading order."""
    image, output = np.asarray(image), np.asarray(output)
    rows, columns = output.shape
    figure, frames = plt.subplots(rows, columns, figsize=(1.9 * columns, 1.95 * rows + 0.5), squeeze=False)
    for (row, column), axes in np.ndenumerate(frames):
        draw_grid(axes, image, "input", None, size=8)
        draw_outline(axes, row * stride, column * stride, *np.shape(kernel))
        axes.set_title(f"sum {output[row, column]:g}", color=COLORS["output"], fontsize=10)
    _name(figure, title)
    return figure, frames


@_styled
def windows(size, kernel, *, stride=1, padding=(0, 0), dilation=1, transposed=False, title=None):
    """Draw one axis of an input as a strip of pixels and, under it, what each window reads.

    Padding, (before, after), is hatched; a pixel that no window reads is outlined. With `transposed`, the strip
    is the output, and under it stands where each of the `size` inputs stamps the kernel; what the padding
    cuts off is hatched.
    """
    before, after = padding
    reach = dilation * (kernel - 1) + 1
    if transposed:
        starts = range(-before, (size - 1) * stride - before + 1, stride)
        size = (size - 1) * stride + reach - before - after
    else:
        starts = range(-before, size + after - reach + 1, stride)
    strip, tap_name = ("output", "input") if transposed else ("input", "output")
    met = {start + dilation * tap for start in starts for tap in range(kernel)}
    width, height = 0.42 * (size + before + after) + 2.2, 0.3 * (len(starts) + 2) + 0.75
    figure, axes = plt.subplots(figsize=(width, height))
    for pixel in range(-before, size + after):
        _pixel(
            axes,
            pixel,
            COLORS[strip],
            real=0 <= pixel < size,
            met=pixel in met,
            blank="" if transposed else "0",
        )
    for index, start in enumerate(starts):
        y = -0.75 * (index + 1)
        axes.plot([start + 0.46, start + reach - 0.54], [y + 0.25] * 2, color=COLORS["kernel"], lw=1)
        for tap in range(kernel):
            axes.add_patch(Rectangle((start + dilation * tap, y), 0.92, 0.5, fc=COLORS["kernel"], ec="none"))
        axes.text(
            size + after + 0.3,
            y + 0.25,
            f"{tap_name} {index}",
            va="center",
            fontsize=9,
            color=COLORS[tap_name],
        )
    axes.set(xlim=(-before - 0.2, size + after + 2.4), ylim=(-0.75 * len(starts) - 0.2, 1.0))
    axes.axis("off")
    axes.set_title(title, loc="left")
    return figure, axes


def _pixel(axes, place, color, *, real, met, blank):
    """One pixel of a strip: filled when a window meets it, outlined when none does, hatched when it is padding."""
    edge = COLORS["highlight"] if real and not met else COLORS["neutral"]
    look = {"fc": color if real and met else "white", "ec": edge, "lw": 1 if met else 2}
    axes.add_patch(
        Rectangle((place, 0), 0.92, 0.8, hatch=None if real else "///", hatch_linewidth=0.5, **look)
    )
    label = {"s": str(place) if real else blank, "color": "white" if real and met else edge, "fontsize": 9}
    box = {"fc": "white", "ec": "none", "pad": 1.5} if blank and not real else None
    axes.text(place + 0.46, 0.4, ha="center", va="center", bbox=box, **label)


def draw_grid(axes, array, role, decimals, size):
    array = np.asarray(array, dtype=float)
    known = array[np.isfinite(array)]
    limit = max(np.abs(known).max(initial=0), 1e-12)
    shown = axes.imshow(np.ma.masked_invalid(array), cmap=_map(role), vmin=-limit, vmax=limit)
    if decimals is None:
        decimals = 0 if np.array_equal(known, np.round(known)) else 2
    for (row, column), value in np.ndenumerate(array):
        if np.isfinite(value):
            label = f"{value + 0.0:.{decimals}f}"
            axes.text(
                column, row, label, ha="center", va="center", fontsize=size, color=_ink(shown.to_rgba(value))
            )
    axes.set_xticks(np.arange(array.shape[1] + 1) - 0.5, [])
    axes.set_yticks(np.arange(array.shape[0] + 1) - 0.5, [])
    axes.grid(color="#C8C8C8", linewidth=0.8)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set(visible=True, color=COLORS[role], linewidth=1.5)


def draw_outline(axes, top, left, rows, columns, color=COLORS["highlight"]):
    axes.add_patch(
        Rectangle(
            (left - 0.5, top - 0.5), columns, rows, fill=False, ec=color, lw=2.8, zorder=3, clip_on=False
        )
    )


def _name(figure, title):
    if title:
        figure.suptitle(title, x=0.01, ha="left")


def _ink(color):
    """Black or white, whichever reads better on a background colour."""
    red, green, blue = color[:3]
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.55 else "#222222"


def _map(role):
    """Grey for negative, white for zero, the role's colour for positive."""
    return LinearSegmentedColormap.from_list(role, ["#4D4D4D", "white", COLORS[role]])


# ----------------------------------------------------------------------------------------------------------- images


@_styled
def images(pictures, titles=None, *, columns=None, title=None, signed=False, scale=1.5):
    """Draw grayscale pictures side by side.

    Parameters
    ----------
    pictures : list of array, each (height, width) or (height, width, 1)
    columns : int
        Pictures in a row; by default up to eight.
    signed : bool or list of bool
        Centre the colours on zero: grey below, white at zero, green above. Otherwise each picture runs from its
        own darkest (black) to its own brightest pixel (white).
    """
    pictures = [np.squeeze(picture) for picture in pictures]
    signed = np.broadcast_to(signed, len(pictures))
    columns = columns or min(8, len(pictures))
    rows = -(-len(pictures) // columns)
    tallest = max(picture.shape[0] / picture.shape[1] for picture in pictures)
    height = (scale * tallest + (0.3 if titles else 0)) * rows + (0.45 if title else 0)
    figure, frames = plt.subplots(rows, columns, figsize=(scale * columns, height), squeeze=False)
    for axes in frames.flat:
        axes.axis("off")
    for index, picture in enumerate(pictures):
        axes = frames.flat[index]
        if signed[index]:
            limit = max(np.abs(picture).max(), 1e-12)
            axes.imshow(picture, cmap=_map("output"), vmin=-limit, vmax=limit)
        else:
            axes.imshow(picture)
        if titles is not None:
            axes.set_title(titles[index], fontsize=10)
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
    values = np.asarray(values, dtype=float)
    rows, columns = values.shape
    figure, axes = plt.subplots(figsize=(min(9, 0.45 * columns + 1.4), min(7.5, 0.45 * rows + 1.4)))
    limit = max(np.abs(values).max(), 1e-12)
    shown = axes.imshow(values, cmap=_map(role), vmin=-limit, vmax=limit)
    if numbers:
        for (row, column), value in np.ndenumerate(values):
            if value:
                color = _ink(shown.to_rgba(value))
                axes.text(column, row, f"{value:g}", ha="center", va="center", fontsize=8.5, color=color)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.set_title(title, loc="left")
    axes.set_xticks(range(columns), column_labels) if column_labels is not None else axes.set_xticks([])
    axes.set_yticks(range(rows), row_labels) if row_labels is not None else axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(visible=True, color="#C8C8C8")
    axes.tick_params(length=0)
    return figure, axes


# ----------------------------------------------------------------------------------------------------------- curves


@_styled
def curves(lines, *, title=None, xlabel=None, ylabel=None, styles=None, log=False, marks=None, size=(8, 3.6)):
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
    """
    figure, axes = plt.subplots(figsize=size)
    for name, (x, y) in lines.items():
        axes.plot(x, y, label=name, **{"lw": 2, **(styles or {}).get(name, {})})
    if log:
        axes.set_yscale("log")
    for name, x in (marks or {}).items():
        axes.axvline(x, color=COLORS["neutral"], lw=1, ls="--")
        axes.annotate(
            f" {name}",
            (x, 0.98),
            xycoords=("data", "axes fraction"),
            va="top",
            fontsize=9.5,
            color=COLORS["neutral"],
        )
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
    path = np.asarray(path)
    first, second = np.meshgrid(np.linspace(*xlim, 120), np.linspace(*ylim, 120))
    height = cost(first, second)
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
def graph(nodes, *, notes=None, title=None):
    """Draw a directed graph from left to right.

    Parameters
    ----------
    nodes : list of (name, operation, inputs)
        In an order in which inputs come first, as `graphs.nodes` reads them from a traced function.
    notes : dict of str to str
        A second line for a node, such as its value or its gradient.
    """
    depth = {}
    for name, _, inputs in nodes:
        depth[name] = 1 + max((depth[source] for source in inputs), default=-1)
    columns = {
        level: [name for name in depth if depth[name] == level] for level in sorted(set(depth.values()))
    }
    place = {}
    for level, names in columns.items():  # order each column by where its inputs stand
        inputs_of = {name: inputs for name, _, inputs in nodes}
        names.sort(
            key=lambda name: np.mean([place[i][1] for i in inputs_of[name]] or [-list(depth).index(name)]),
            reverse=True,
        )
        for index, name in enumerate(names):
            place[name] = (2.1 * level, 1.0 * ((len(names) - 1) / 2 - index))
    tallest = max(len(names) for names in columns.values())
    lines = 2 + (1 + next(iter(notes.values())).count("\n") if notes else 0)
    figure, axes = plt.subplots(figsize=(2.1 * len(columns) + 0.2, (0.3 + 0.21 * lines) * tallest + 0.4))
    boxes = {}
    read = {source for _, _, inputs in nodes for source in inputs}
    for name, operation, inputs in nodes:
        role = "input" if not inputs else "neutral" if name in read else "output"
        label = f"{name}\n{operation}" + (f"\n{notes[name]}" if notes and name in notes else "")
        frame = {"boxstyle": "round,pad=0.45", "fc": "white", "ec": COLORS[role], "lw": 1.8}
        middle = {"ha": "center", "va": "center", "fontsize": 10, "linespacing": 1.25, "zorder": 3}
        boxes[name] = axes.text(*place[name], label, bbox=frame, **middle)
    axes.set(xlim=(-0.9, 2.1 * (len(columns) - 1) + 0.9), ylim=(-0.5 * tallest, 0.5 * tallest))
    axes.axis("off")
    axes.set_title(title, loc="left")
    figure.draw_without_rendering()  # now the boxes have their sizes, and arrows can end at them
    for name, _, inputs in nodes:
        for source in inputs:
            ends = {"patchA": boxes[source].get_bbox_patch(), "patchB": boxes[name].get_bbox_patch()}
            look = {"arrowstyle": "-|>", "mutation_scale": 14, "shrinkA": 2, "shrinkB": 2, "color": "#9A9A9A"}
            axes.add_patch(FancyArrowPatch(place[source], place[name], lw=1.3, **look, **ends))
    return figure, axes
