"""The explorer's still picture: for pages without a kernel, slides and print."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cnn_utils.explorer.network import layout
from cnn_utils.inspection.windows import window_of


def draw(steps, values, e, classes):
    """Every layer's maps with the unit and what it sees outlined; under them the unit's arithmetic."""
    import matplotlib.pyplot as plt

    from cnn_utils import plots

    with plots.style():
        figure = plt.figure(figsize=(11, 4.6))
        top, bottom = figure.subfigures(2, 1, height_ratios=(1.1, 1))
        for axes, name, corner in _draw_maps(top, steps, values, _shades()):
            if values[name].shape == (len(classes),) and len(classes) <= 16:
                axes.set_yticks(range(len(classes)), classes, fontsize=7.5)
                axes.tick_params(length=0, pad=2)
            _outline(axes, steps[name], e, corner)
        bottom.suptitle(repr(e), fontsize=11)
        if steps[e.layer].kind.shows in ("window", "products"):
            _draw_windows(bottom, e, plots)
        elif e.scores is not None:
            _draw_shares(bottom.subplots(), e, classes, plots.COLORS)
        elif steps[e.layer].kind.shows == "contributions":
            _draw_contributions(bottom.subplots(), strongest(steps, e), plots.COLORS)
    plt.close(figure)  # shown by whoever asked for it, once
    return figure


def draw_gradients(steps, gradients, title):
    """Every layer's gradients as maps, each layer on a scale of its own: its largest is named."""
    import matplotlib.pyplot as plt
    from matplotlib.colors import LinearSegmentedColormap

    from cnn_utils import plots

    shades = LinearSegmentedColormap.from_list("slopes", ["#4D4D4D", "white", plots.COLORS["gradient"]])
    with plots.style():
        figure = plt.figure(figsize=(11, 2.9))
        figure.suptitle(title, fontsize=11)
        for axes, name, _ in _draw_maps(figure, steps, gradients, shades.with_extremes(bad="#e8e8e8")):
            axes.set_xlabel(f"±{np.abs(gradients[name]).max():.2g}", fontsize=8.5)
    plt.close(figure)
    return figure


def _draw_maps(figure, steps, values, shades):
    """One picture of each layer; return (axes, name, where each map starts) of each."""
    pictures = {name: _mosaic(step, values[name]) for name, step in steps.items()}
    widths = [max(picture.shape[1] / picture.shape[0], 0.3) for picture, _ in pictures.values()]
    every = figure.subplots(1, len(steps), width_ratios=widths, squeeze=False)[0]
    for axes, (name, (picture, _)) in zip(every, pictures.items(), strict=True):
        axes.imshow(picture, cmap=shades, vmin=-1, vmax=1, interpolation="nearest")
        title = name if steps[name].sources else "input"
        axes.set_title(f"{title}\n" + "×".join(str(n) for n in values[name].shape), fontsize=8.5)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(visible=True, color="#8a8a8a", lw=0.6)
    return [(axes, name, corner) for axes, (name, (_, corner)) in zip(every, pictures.items(), strict=True)]


def _mosaic(step, values):
    """A layer's maps in one picture, scaled to -1 … 1 with nan between, and where each map starts."""
    rows, cols, tiles, across = layout(step).values()
    maps = np.full(rows * cols * tiles, np.nan)
    maps[: values.size] = values.ravel()
    maps = maps.reshape(rows, cols, tiles)
    gap = 0 if tiles == 1 else max(1, rows // 12)
    picture = np.full(((-(-tiles // across)) * (rows + gap) - gap, across * (cols + gap) - gap), np.nan)

    def corner(tile):
        return tile // across * (rows + gap), tile % across * (cols + gap)

    for tile in range(tiles):
        top, left = corner(tile)
        picture[top : top + rows, left : left + cols] = maps[..., tile]
    shown = np.abs(picture[np.isfinite(picture)])
    return picture / (shown.max(initial=0) or 1), corner


def _shades():
    """Blue below zero, black at zero, white above; grey where there is no unit."""
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("shades", ["#99d0ff", "#0072b2", "black", "#808080", "white"])
    return shades.with_extremes(bad="#e8e8e8")


def _outline(axes, step, e, corner):
    from matplotlib.patches import Rectangle

    box = e.boxes.get(step.name)
    if box is None:
        return
    own, direct = step.name == e.layer, step.name in e.sources
    color, line = "#1fd6a3" if own else "#56b4e9", "-" if own or direct else "--"
    (top, bottom), (left, right), channels = box
    if step.vector:  # a stretch of units, in rows of the one picture
        cols = layout(step)["cols"]
        (top, left), (bottom, right) = divmod(channels[0], cols), divmod(channels[1] - 1, cols)
        left, right, bottom, channels = (
            (left, right + 1, bottom + 1, (0, 1)) if top == bottom else (0, cols, bottom + 1, (0, 1))
        )
    for tile in range(*channels):
        y, x = corner(tile)
        place = (x + left - 0.5, y + top - 0.5), right - left, bottom - top
        axes.add_patch(Rectangle(*place, fill=False, ec="black", lw=2.6, clip_on=False))
        axes.add_patch(Rectangle(*place, fill=False, ec=color, lw=1.3, ls=line, clip_on=False))


def _draw_windows(figure, e, plots):
    """The window; for sums of products also kernel and products, of the two channels that count most."""
    if e.winner is not None:
        axes = figure.subplots()
        plots.draw_grid(axes, np.where(e.padded, np.nan, e.patch[..., 0]), "input", None, 10)
        plots.draw_outline(axes, e.winner[0] - e.window.rows[0], e.winner[1] - e.window.cols[0], 1, 1)
        axes.set_title(f"channel {e.channel} of {e.sources[0]}, the winner marked", fontsize=9)
        return
    shown = np.sort(np.argsort(-np.abs(e.products.sum((0, 1))), kind="stable")[:2])
    every = figure.subplots(1, 3 * len(shown), squeeze=False)[0]
    for i, channel in enumerate(shown):
        names = (f"{e.sources[0]}, channel {e.window.channels[0] + channel}", "× kernel", "= products")
        arrays = zip(names, (e.patch, e.kernel, e.products), ("input", "kernel", "output"), strict=True)
        for axes, (name, array, role) in zip(every[3 * i :], arrays, strict=False):
            plots.draw_grid(axes, np.round(array[..., channel], 2) + 0.0, role, 2, 7)
            axes.set_title(name, fontsize=9, color=plots.COLORS[role])


class Contribution(NamedTuple):
    """One product of a dense unit; `place` is (layer, (row, column), channel) when it comes from a map."""

    index: int
    value: float
    weight: float
    product: float
    place: tuple[str, tuple[int, int], int] | None


def strongest(steps, e, count=10):
    """The largest products of a dense unit, each with the place in the last map before it that it came from."""
    found, source = [], steps[e.sources[0]]
    for index in np.argsort(-np.abs(e.products), axis=None, kind="stable")[:count].tolist():
        numbers = (float(array.flat[index]) for array in (e.patch, e.kernel, e.products))
        row, col = (0, 0) if source.vector else e.unit
        found.append(Contribution(index, *numbers, _origin(steps, source, (row, col, index))))
    return found


def _origin(steps, step, place):
    """The place in the last map that a vector's number was passed on from."""
    while step.vector and step.sources and step.kind.rule == "pass":
        number, box = window_of(step, place)
        step, place = steps[step.sources[number]], tuple(first for first, _ in box)
    return None if step.vector else (step.name, place[:2], place[2])


def _draw_contributions(axes, found, colors):
    places = [f"{c.place[0]} {c.place[1]} of channel {c.place[2]}" if c.place else c.index for c in found]
    labels = [f"{place}: {c.value:.2f} × {c.weight:.2f}" for place, c in zip(places, found, strict=True)]
    _draw_bars(axes, labels, [c.product for c in found], "product", colors)


def _draw_shares(axes, e, classes, colors):
    """The largest probabilities of a softmax, in the order of the classes."""
    names = classes if len(classes) == len(e.scores) else range(len(e.scores))
    shares = e.exponentials / e.exponentials.sum()
    shown = np.sort(np.argsort(-shares, kind="stable")[:10])
    labels = [f"{names[i]}: score {e.scores[i]:.2f}" for i in shown]
    _draw_bars(axes, labels, shares[shown], "probability", colors)


def _draw_bars(axes, labels, sizes, what, colors):
    axes.barh(range(len(sizes)), sizes, color=[colors["neutral" if size < 0 else "output"] for size in sizes])
    axes.set_yticks(range(len(sizes)), labels)
    axes.invert_yaxis()
    axes.tick_params(labelsize=8)
    axes.set_xlabel(what, fontsize=9)
