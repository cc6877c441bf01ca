"""Train LeNet-5 on MNIST, on many workers: start them on this machine, or be one of a cluster."""

import argparse
import os
import re
import sys
import time

import numpy as np

import cnn_utils
from cnn_utils import datasets, distributed
from cnn_utils.distributed import workers


def main():
    parser = argparse.ArgumentParser("python -m cnn_utils.distributed", description=__doc__)
    for name, default, text in (
        ("workers", 1, "processes on this machine; with TF_CONFIG or Slurm the cluster's number counts"),
        ("epochs", 1, "how often each image is seen"),
        ("batch", 128, "images of one step, of all workers together"),
        ("save-every", 100, "steps from one checkpoint and report to the next"),
        ("timeout", 60, "seconds after which a worker that waits for others gives up"),
        ("rate", 0.05, "learning rate of SGD with momentum 0.9"),
    ):
        parser.add_argument(f"--{name}", type=type(default), default=default, help=f"{text} ({default})")
    parser.add_argument("--folder", help="for checkpoints and logs, seen by all workers (none)")
    options = parser.parse_args()
    for name, value in vars(options).items():
        if isinstance(value, int | float) and not value > 0:
            parser.error(f"argument --{name.replace('_', '-')}={value} must be above zero")
    if options.workers == 1 or "TF_CONFIG" in os.environ:
        _work(options)
        return
    command = ["-m", "cnn_utils.distributed", *sys.argv[1:]]  # to them TF_CONFIG says that they are workers
    with workers.local_workers(options.workers, command) as processes:
        for index, line in workers.lines(processes):
            if line is not None:
                print(f"worker {index}: {line}", flush=True)
            elif processes[index].returncode:
                sys.exit(f"worker {index} failed, so the others are ended")


def _work(options):
    """Be one worker, and end with a clear line whatever happens."""
    tell = workers.watched(options.timeout)
    try:
        addresses, index = workers.this_worker()
        tf = cnn_utils.tf
        tell(f"waiting for {' and '.join(addresses)}")
        _train(options, tf.distribute.MultiWorkerMirroredStrategy(), chief=index == 0, tell=tell)
        return
    except (ValueError, OSError) as error:  # before the next line asks for TensorFlow, which takes seconds
        print(f"{type(error).__name__}: {error}", flush=True)
    except cnn_utils.tf.errors.OpError as error:  # of a refused connection, the address alone
        gone = re.search("aborted by: (?:.*UNKNOWN: )?(.*)", str(error))
        print(f"A worker is gone: {gone[1]}" if gone else f"{type(error).__name__}: {error}", flush=True)
    os._exit(1)  # TensorFlow's own way out would wait for the others


def _train(options, strategy, chief, tell):
    tf, keras = cnn_utils.tf, cnn_utils.keras
    data = datasets.load("mnist")
    images, labels = data.x_train / np.float32(255), data.y_train.astype("int64")
    if chief and options.folder:  # max_queue=0: what is reported is in the file, however this process ends
        tf.summary.create_file_writer(f"{options.folder}/logs", max_queue=0).set_as_default()
    began, seen = time.perf_counter(), 0

    def build():
        model = cnn_utils.models.lenet5()
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(options.rate, momentum=0.9), loss)
        return model

    def report(number, loss, count):
        nonlocal began, seen
        tell(f"waiting for the other workers after step {number}")
        seen += count
        if chief and number % options.save_every == 0:
            speed = seen / (time.perf_counter() - began)
            print(f"step {number} · loss {loss:.4f} · {speed:,.0f} images/s", flush=True)
            tf.summary.scalar("loss", loss, number)  # nowhere, without a folder
            tf.summary.scalar("images per second", speed, number)
            began, seen = time.perf_counter(), 0

    settings = {name: getattr(options, name) for name in ("epochs", "batch", "folder", "save_every")}
    model = distributed.train(build, images, labels, report=report, strategy=strategy, **settings)
    tell("reading the test images")
    parts = np.array_split(data.x_test / np.float32(255), 20)
    right = np.mean(np.concatenate([model(part).numpy().argmax(axis=1) for part in parts]) == data.y_test)
    print(f"trained: {right:.2%} of the test images are read rightly", flush=True)


if __name__ == "__main__":
    main()
