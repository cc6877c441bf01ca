"""What data sets there are: their files, the arrays in these, and what the labels mean."""

from dataclasses import dataclass


@dataclass(frozen=True)
class File:
    path: str  # in Keras' cache, in the reader's own folder or in `cnn_utils/samples`
    sha256: str  # of the arrays' bytes, in this order (not of the file: it may be packed anew)
    arrays: tuple = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True)
class Set:
    title: str
    class_names: tuple
    sample: File  # packaged with the course
    full: tuple = ()  # what is fetched; nothing if the sample is all there is
    examples: str = "images"  # what they are
    shape: tuple = (28, 28, 1)  # of one, as `load` returns it


_FASHION = (
    ("x_train", "train-images-idx3", "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012"),
    ("y_train", "train-labels-idx1", "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7"),
    ("x_test", "t10k-images-idx3", "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a"),
    ("y_test", "t10k-labels-idx1", "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9"),
)
_CLOTHES = "T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot"

SETS = {
    "mnist": Set(
        "MNIST",
        tuple("0123456789"),
        File("mnist_5k.npz", "d7f37ed83eb4176c5e64ffea8aefb79abc0a9baa4191dc81299a01e36ead7b7c"),
        (File("mnist.npz", "06b0d1f124c4e5fa796686ade41a9b778edacc8622f2195a352ef479ad44fc16"),),
    ),
    "fashion_mnist": Set(
        "Fashion-MNIST",
        tuple(_CLOTHES.split(", ")),
        File("fashion_mnist_5k.npz", "d61e358db7ed35d182dea41bbfae40c76b4e2e154d5f73959a4630fa96437ec1"),
        tuple(File(f"fashion-mnist/{stem}-ubyte.gz", sha256, (name,)) for name, stem, sha256 in _FASHION),
    ),
    "italy_power_demand": Set(
        "Italy's power demand",
        ("October to March", "April to September"),
        File("italy_power_demand.npz", "7c834ed2480052bac01b6f422e6960111da01d1b376aad8b4fc9adf38c867d41"),
        examples="days",
        shape=(24, 1),
    ),
}
