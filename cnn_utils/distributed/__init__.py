"""The same training on many workers, on `tf.distribute`: every step takes its share of one global batch on each.

``python -m cnn_utils.distributed --workers 2 --epochs 2 --batch 128 --folder runs/out`` trains LeNet-5 on MNIST with two
processes of this machine. Where TF_CONFIG is set (Kubernetes jobs and cloud trainers set it), or under Slurm's srun, the
command is one worker of that cluster, and leaves its graphics cards to TensorFlow. The folder must be one that all workers see:
it holds the checkpoints, from which the same command goes on, and the logs for TensorBoard.
"""

import tempfile

import numpy as np

import cnn_utils
from cnn_utils.arithmetic import whole_number
from cnn_utils.distributed.workers import cluster, lines, local_workers

__all__ = ["cluster", "lines", "local_workers", "shares", "train"]


def shares(count, batch, replicas, *, epochs=1, seed=0):
    """Yield for each step the rows that each replica takes: arrays of indices, cut from one global batch.

    Every epoch has its own order, the same on all workers and after a restart. The last batch of an epoch is smaller; it is
    left out if it has no row for some replica. Raises ValueError if ``batch`` is below ``replicas`` or above ``count``.

    >>> [[part.tolist() for part in step] for step in shares(5, 3, 2, seed=1)]
    [[[4, 0], [1]], [[2], [3]]]
    """
    if not whole_number("replicas", replicas) <= whole_number("batch", batch) <= count:
        rule = f"must be from {replicas}, one row for each replica, to {count}, all rows"
        raise ValueError(f"batch={batch} {rule}")
    for epoch in range(whole_number("epochs", epochs)):
        order = np.random.default_rng((seed, epoch)).permutation(count)
        for start in range(0, count, batch):
            if len(rows := order[start : start + batch]) >= replicas:
                yield np.array_split(rows, replicas)


def train(
    build, x, y, *, epochs=1, batch=128, seed=0, folder=None, save_every=100, report=None, strategy=None
):
    """Train the compiled model that ``build()`` returns, on all workers of the cluster together, and return it.

    ``x`` and ``y`` are all examples, on every worker; ``batch`` is the global one. With a ``folder`` it goes on from the
    last checkpoint there, and saves one every ``save_every`` steps and at the end. After every step ``report`` is called
    with its number, its loss and how many examples it took. ``strategy`` is by default the one of TF_CONFIG, or this machine.

    Gradients are summed over the workers, each example with a weight of one over the global batch, as on one machine.
    Raises ValueError for a checkpoint of another network. Source: Goyal et al. (arXiv:1706.02677), section 3.
    """
    tf, keras = cnn_utils.tf, cnn_utils.keras
    strategy = strategy or tf.distribute.MultiWorkerMirroredStrategy()
    replicas = strategy.num_replicas_in_sync
    steps = list(shares(len(x), batch, replicas, epochs=epochs, seed=seed))
    with strategy.scope():
        keras.utils.set_random_seed(seed)
        model = build()
        model.optimizer.build(model.trainable_variables)
    save = _checkpoints(model, folder, strategy) if folder else lambda number: None
    first = int(model.optimizer.iterations.numpy())

    def share(parts):  # what the replicas of this worker take, itself or its graphics cards
        def take(context):
            rows = parts[context.replica_id_in_sync_group]
            return tf.constant(x[rows]), tf.constant(y[rows])

        return strategy.experimental_distribute_values_from_function(take)

    def on_replica(examples, labels, size):
        with tf.GradientTape() as tape:
            loss = model.compute_loss(examples, labels, model(examples, training=True))
            # Keras has divided by the number of replicas, as if all shares were equal
            loss = loss * replicas * (len(examples) / size)
        gradients = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply(gradients, model.trainable_variables)  # adds up those of all replicas first
        return loss

    @tf.function
    def step(examples, labels, size):  # of the whole batch: where this Python number changes, all trace anew
        return strategy.reduce("SUM", strategy.run(on_replica, (examples, labels, size)), axis=None)

    for number, parts in enumerate(steps[first:], first + 1):
        size = sum(map(len, parts))
        loss = float(step(*share(parts), size))
        if report:
            report(number, loss, size)
        if number % save_every == 0 or number == len(steps):
            save(number)
    return model


def _checkpoints(model, folder, strategy):
    """Go on from the last checkpoint in ``folder``; return what saves one. All save, as all hold a part of some values."""
    tf = cnn_utils.tf
    checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
    if newest := tf.train.latest_checkpoint(folder):
        try:
            checkpoint.restore(newest).assert_consumed()
        except (AssertionError, ValueError) as error:
            problem = f"{newest} is of another network: choose another folder"
            raise ValueError(f"folder={folder!r}: {problem}") from error
    if strategy.extended.should_checkpoint:
        manager = tf.train.CheckpointManager(checkpoint, folder, max_to_keep=2, checkpoint_name="step")
        return lambda number: manager.save(checkpoint_number=number)

    def save_for_nobody(number):  # not the chief: its copy is not kept, even if it is killed later
        with tempfile.TemporaryDirectory() as nowhere:
            checkpoint.save(f"{nowhere}/step")

    return save_for_nobody
