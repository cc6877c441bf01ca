"""MNIST, Fashion-MNIST and Italy's power demand as small values: full when possible, else the packaged sample.

`catalogue` says what there is, `download` how a file is had.
"""

import os
from dataclasses import dataclass

import numpy as np

import cnn_utils
from cnn_utils.datasets import download
from cnn_utils.datasets.catalogue import SETS


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Examples as stored, with a channel axis behind, and their labels: uint8, ``(n,)``.

    ``x_train`` and ``x_test`` are uint8 images from 0 to 255, ``(n, 28, 28, 1)``; of Italy's power demand days of
    hourly values, float32, ``(n, 24, 1)``: mean 0 and standard deviation 1 in each day. Each call of `load` makes
    its own arrays.
    """

    name: str
    source: str  # "full" or "sample"
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple

    def __repr__(self):
        return f"<Dataset {self.name}, {self.source}: {self._counts()}>"

    def _counts(self):
        examples = SETS[self.name].examples
        return f"{len(self.x_train):,} training and {len(self.x_test):,} test {examples}"


def load(name, source="auto"):
    """Load ``"mnist"``, ``"fashion_mnist"`` or ``"italy_power_demand"`` and say in one line which data it is.

    ``source="full"`` reads the folder in ``CNN_UTILS_DATA`` when that is set, else Keras' cache, else
    downloads. ``"sample"`` is the 4,000 + 1,000 images packaged with the course. ``"auto"`` is the full set,
    or the sample when neither cache nor network has it; the environment variable ``CNN_UTILS_SOURCE``
    ("full" or "sample") overrides ``"auto"``. Italy's power demand is packaged whole: always "full".

    Raises ValueError if the name or source is unknown, or a file is damaged (the SHA-256 of the arrays is
    checked); FileNotFoundError if ``CNN_UTILS_DATA`` lacks a file, or ``"full"`` could not be had.

    >>> mnist = load("mnist", source="sample")
    MNIST: sample, 4,000 training and 1,000 test images (packaged with the course)
    >>> mnist.x_train.shape, mnist.x_train.dtype, mnist.class_names[:3]
    ((4000, 28, 28, 1), dtype('uint8'), ('0', '1', '2'))
    """
    if name not in tuple(SETS):
        raise ValueError(f"name={name!r} is not a data set: use one of {', '.join(map(repr, SETS))}")
    known, asked = SETS[name], f"source={source!r}"
    if source == "auto" and (setting := os.environ.get("CNN_UTILS_SOURCE")):
        source, asked = setting, f"CNN_UTILS_SOURCE={setting}"
    if source not in ("auto", "full", "sample"):
        raise ValueError(f'{asked} is not a source: use "auto", "full" or "sample"')
    if source == "sample" or not known.full:
        arrays, where = download.packaged(known), "packaged with the course"
    elif folder := cnn_utils.folder("CNN_UTILS_DATA"):
        arrays, where = download.from_folder(known, folder), "folder CNN_UTILS_DATA"
    else:
        try:
            arrays, where = download.from_cache(known)
        except download.FAILURES as error:
            reason = f"not in Keras' cache, no download from {download.HOST}"
            if source == "full":
                said = f"{asked}: the full {known.title} could not be had: {reason}"
                remedy = f'set CNN_UTILS_DATA to a folder with {known.full[0].path}, or use source="sample"'
                raise FileNotFoundError(f"{said}. Check the network and call again, or {remedy}") from error
            source, where = "sample", f"packaged with the course; {reason}"
            arrays = download.packaged(known)
    source = "sample" if source == "sample" and known.full else "full"
    for part in ("x_train", "x_test"):
        arrays[part] = arrays[part].reshape(-1, *known.shape)
    dataset = Dataset(name, source, class_names=known.class_names, **arrays)
    print(f"{known.title}: {source}, {dataset._counts()} ({where})")
    return dataset
