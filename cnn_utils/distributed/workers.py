"""Who works with whom: the cluster that the environment names, or processes of this machine; and an end for all that hang."""

import contextlib
import json
import os
import queue
import re
import select
import signal
import socket
import subprocess
import sys
import threading

import cnn_utils
from cnn_utils.arithmetic import whole_number

PARENT = "CNN_UTILS_PARENT"  # set where standard input closes when the process that started this one ends


@contextlib.contextmanager
def local_workers(workers, command):
    """Start that many processes of this machine, one cluster, and give the list of them; none outlives the block.

    ``command`` is what Python is to run, such as ``["-m", "cnn_utils.distributed", "--epochs", 2]`` or a file; `lines`
    reads what they print. Raises ValueError if ``workers`` is not a whole number above zero.
    """
    with contextlib.ExitStack() as held:
        free = [socket.create_server(("127.0.0.1", 0)) for _ in range(whole_number("workers", workers))]
        addresses = [f"127.0.0.1:{held.enter_context(port).getsockname()[1]}" for port in free]
    command = [sys.executable, *map(str, command)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with contextlib.ExitStack() as running:
        processes = []
        for index in range(workers):
            config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            environment = os.environ | {"TF_CONFIG": json.dumps(config), PARENT: "1"}
            process = subprocess.Popen(command, text=True, env=environment, **pipes)
            processes.append(running.enter_context(process))
            running.callback(process.kill)  # waiting for each other they are deaf to softer signals
        yield processes


def lines(processes):
    """Yield (worker, line) as the workers print them, and (worker, None) when one has ended."""
    found, running = queue.Queue(), len(processes)

    def read(index, process):
        with contextlib.suppress(ValueError):  # closed while it was read
            for line in process.stdout:
                found.put((index, line.rstrip()))
        process.wait()
        found.put((index, None))

    for worker in enumerate(processes):
        threading.Thread(target=read, args=worker, daemon=True).start()
    while running:
        index, line = found.get()
        running -= line is None
        yield index, line


def cluster(config):
    """The addresses of all workers, the first one being the chief, and the number of this one: the text of TF_CONFIG, read.

    Raises ValueError that says what is missing or wrong.

    >>> cluster('{"cluster": {"worker": ["a:80", "b:80"]}, "task": {"type": "worker", "index": 1}}')
    (['a:80', 'b:80'], 1)
    """
    try:
        given = json.loads(config)
        jobs, kind, index = given["cluster"], given["task"]["type"], int(given["task"]["index"])
        addresses = [*jobs.get("chief", []), *jobs.get("worker", [])]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        rule = f"must be JSON with a cluster, a task type and index ({type(error).__name__}: {error})"
        raise ValueError(f"TF_CONFIG={config!r} {rule}") from None
    if not set(jobs) <= {"chief", "worker"}:
        raise ValueError(f"TF_CONFIG: the cluster has {', '.join(jobs)}: it may have a chief and workers")
    if kind not in jobs or not 0 <= index < len(jobs[kind]):
        raise ValueError(f"TF_CONFIG: the task, {kind} {index}, is not in the cluster {jobs}")
    places = {address for address in addresses if re.fullmatch(r"[^:]+:\d{1,5}", str(address))}
    if len(places) < len(addresses):
        raise ValueError(f"TF_CONFIG: {addresses} must be different addresses, each as host:port")
    return addresses, addresses.index(jobs[kind][index])


def this_worker():
    """The `cluster` of TF_CONFIG or of Slurm, and this worker's number in it; no addresses for a machine alone.

    Raises ValueError if TF_CONFIG is wrong, or another program has this worker's port.
    """
    if "TF_CONFIG" not in os.environ and int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        resolver = cnn_utils.tf.distribute.cluster_resolver.SlurmClusterResolver  # Slurm hands out the cards:
        slurm = resolver(gpus_per_node=10**6, gpus_per_task=1, auto_set_gpu=False)
        jobs = slurm.cluster_spec().as_dict()  # which finds the task, too
        task = {"type": slurm.task_type, "index": slurm.task_id}
        os.environ["TF_CONFIG"] = json.dumps({"cluster": jobs, "task": task})
    if "TF_CONFIG" not in os.environ:
        return [], 0
    addresses, index = cluster(os.environ["TF_CONFIG"])
    own = addresses[index]
    try:
        socket.create_server(("", int(own.rpartition(":")[2]))).close()
    except (OSError, OverflowError) as error:
        raise ValueError(f"TF_CONFIG gives this worker {own}, whose port cannot be had: {error}") from None
    return addresses, index


def watched(timeout):
    """A function to tell what is done now; after ``timeout`` seconds without a call a second process ends this one.

    While it waits for a worker TensorFlow holds Python's lock and hears no signal, so that no thread could do it. The
    second process also ends this one when the process that started it is gone.
    """
    if not hasattr(os, "fork"):
        return lambda doing: None
    (reader, writer), worker = os.pipe(), os.getpid()
    if os.fork():
        os.close(reader)
        return lambda doing: os.write(writer, f"{doing}\n".encode())
    os.close(writer)
    ears = [reader, 0] if os.environ.get(PARENT) else [reader]
    doing, patience = "", None  # the first call may take its time: TensorFlow has to be imported
    while heard := select.select(ears, [], [], patience)[0]:
        told = os.read(heard[0], 4096).decode()
        if not told:  # it has ended by itself, or what started it
            break
        doing, patience = told.splitlines()[-1], timeout
    else:
        print(f"TimeoutError: {doing} for {timeout} s", flush=True)
    with contextlib.suppress(ProcessLookupError):  # nor does it hurt one that is ending
        os.kill(worker, signal.SIGKILL)
    os._exit(0)
