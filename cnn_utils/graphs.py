"""TensorFlow graphs that can be read: trace a function or a model, clean its names, write it for TensorBoard.

TensorBoard's Graphs tab opens on the first run that has a graph, so each graph gets a folder of its own.
"""

import itertools
import re
import shutil
from pathlib import Path

import cnn_utils
from cnn_utils import keras, tf


def log_directory(name):
    """Make an empty folder for one notebook's logs and return its path.

    It stands in ``$CNN_UTILS_RUNS`` when that is set, else in the project's ``runs/``. What it held is deleted, so
    running a notebook twice leaves one run. Raises ValueError if ``name`` could lead out of the folder of runs,
    or if the folder cannot be made.

    >>> log_directory("../elsewhere")
    Traceback (most recent call last):
    ValueError: name='../elsewhere': use letters, digits, '-', '_' and '.', after a letter or digit
    """
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(f"name={name!r}: use letters, digits, '-', '_' and '.', after a letter or digit")
    folder = cnn_utils.folder("CNN_UTILS_RUNS", "runs") / name
    try:
        if folder.is_symlink():
            raise OSError("it is a symbolic link")
        if folder.exists():
            shutil.rmtree(folder)  # no file; links inside are removed, not followed
        folder.mkdir(parents=True)
    except OSError as error:
        raise ValueError(f"name={name!r}: {folder} cannot be emptied: {error.strerror or error}") from error
    return folder


def function_graph(function, *examples):
    """Trace a `tf.function` into a GraphDef with exactly the nodes that its code names.

    An argument is a node under its own name. The output copies that tracing appends are dropped. ``examples``
    are arrays, numbers or `tf.TensorSpec`, one for each argument; none if the function is concrete or has an
    ``input_signature``. Raises ValueError if ``function`` is no `tf.function`, or cannot be traced with these.

    >>> @tf.function
    ... def square(x):
    ...     return tf.multiply(x, x, name="y")
    >>> nodes(function_graph(square, 3.0))
    [('x', 'Placeholder', ()), ('y', 'Mul', ('x', 'x'))]
    """

    def tensor(example):  # a bare Python number would be traced as a constant
        return example if isinstance(example, tf.TensorSpec) else tf.convert_to_tensor(example)

    concrete = function
    if hasattr(function, "get_concrete_function"):
        try:
            concrete = function.get_concrete_function(*keras.tree.map_structure(tensor, examples))
        except TypeError as error:
            raise ValueError(f"examples={examples} do not fit: give one for each argument") from error
    if not hasattr(getattr(concrete, "graph", None), "as_graph_def"):
        raise ValueError(f"function={function!r} has no graph: decorate a Python function with @tf.function")
    graph = concrete.graph.as_graph_def(add_shapes=True)
    copies = {output.op.name for output in concrete.graph.outputs if output.op.type == "Identity"}
    used = {source for name, _, inputs in nodes(graph) if name not in copies for source in inputs}
    idle = {node.name for node in graph.node if node.op == "NoOp"} - used  # only the copies wait for these
    for node in [node for node in graph.node if node.name in copies | idle]:
        graph.node.remove(node)
    return graph


def model_graph(model):
    """Turn a built Sequential or Functional model into a GraphDef whose nodes are the layers.

    Each has its output shape and its number of parameters as attributes. A layer used a second time is there
    again, ``name_2``. A model inside the model is a box to open: its layers are nodes ``name/layer``. Raises
    ValueError if the model is of another kind or does not know its input shape yet.

    >>> model = keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(2, name="scores")])
    >>> nodes(model_graph(model))
    [('x', 'InputLayer', ()), ('scores', 'Dense', ('x',))]
    """
    if not _calls(model):
        what = f"model={getattr(model, 'name', model)!r} ({type(model).__name__}) has no graph of layers"
        raise ValueError(f"{what}: give a Sequential or Functional model that begins with keras.Input")
    graph = tf.compat.v1.GraphDef()
    _add_layers(graph, model, "", {}, set())
    return graph


def write_function_graph(function, log_dir, *examples):
    """Write `function_graph` of ``function`` where TensorBoard finds it. Raises ValueError as that does."""
    _write(function_graph(function, *examples), log_dir)


def write_model_graph(model, log_dir):
    """Write `model_graph` of ``model`` as the run ``log_dir/layers``, beside those of its training.

    Raises ValueError as `model_graph` does, or for a folder it cannot write.
    """
    _write(model_graph(model), Path(log_dir) / "layers")


def read_graph(log_dir):
    """Read back the GraphDef on which TensorBoard opens: that of the first run in ``log_dir`` that has one.

    Raises ValueError if no run in ``log_dir`` has a graph, or a file on the way to it is damaged.
    """
    for run in sorted({file.parent for file in Path(log_dir).rglob("*.tfevents.*")}):
        records = tf.data.TFRecordDataset([str(file) for file in run.glob("*.tfevents.*")])
        try:
            events = [tf.compat.v1.Event.FromString(record) for record in records.as_numpy_iterator()]
        except tf.errors.OpError as error:
            problem = f"a file in {run} is damaged: run the cell that writes it again"
            raise ValueError(f"log_dir={str(log_dir)!r}: {problem}") from error
        graphs = [(event.wall_time, event.graph_def) for event in events if event.graph_def]
        if graphs:
            return tf.compat.v1.GraphDef.FromString(max(graphs)[1])  # the newest, as TensorBoard does
    remedy = "write one with write_function_graph or write_model_graph"
    raise ValueError(f"log_dir={str(log_dir)!r} has no graph: {remedy}")


def show_tensorboard(log_dir, *, tab="graphs", height=700):
    """Show TensorBoard under the cell, on what ``log_dir`` holds now; call it again for newer logs.

    ``tab`` is the page it opens on: "graphs", "scalars", "images", "histograms", "hparams" or "projector". The server is a
    thread of the notebook's kernel, one for each folder, and answers this machine only. Where nobody watches
    (nbconvert, a test) it prints how to see TensorBoard. Raises ValueError if there are no logs.

    >>> show_tensorboard("empty")
    Traceback (most recent call last):
    ValueError: log_dir='empty' has nothing to show: run the cell that writes the logs
    """
    if not any(Path(log_dir).rglob("*.tfevents.*")):
        raise ValueError(f"log_dir={str(log_dir)!r} has nothing to show: run the cell that writes the logs")
    if not cnn_utils.watched():
        print("Run this cell in Jupyter to see TensorBoard here, or type in a terminal: make tensorboard")
        return
    from IPython.display import IFrame, display

    address = _serve(log_dir)
    print(f"TensorBoard, for as long as this kernel runs: {address}")
    display(IFrame(f"{address}#{tab}", "100%", height))


def nodes(graph):
    """List the nodes of a GraphDef as (name, operation, names of its inputs), inputs before their users."""
    source = re.compile("[^^:]+")  # the node behind ``^name`` (wait for it) or ``name:1`` (its second output)
    return [(node.name, node.op, tuple(source.search(name)[0] for name in node.input)) for node in graph.node]


_servers = {}  # by folder


def _serve(log_dir):
    """Start TensorBoard in a thread, on this machine's own address, and return that; all logs are read first."""
    from tensorboard import program

    folder, port = Path(log_dir).resolve(), 0  # any port that is free
    if before := _servers.pop(folder, None):
        port = before.server_port
        before.shutdown()
        before.server_close()

    def remember(*arguments):
        return _servers.setdefault(folder, program.create_port_scanning_werkzeug_server(*arguments))

    at_once = {"load_fast": "false", "reload_task": "blocking", "reload_interval": 0}
    server = program.TensorBoard(server_class=remember)
    server.configure(logdir=str(folder), host="127.0.0.1", port=port, **at_once)
    return server.launch()


def _write(graph, log_dir):
    try:
        Path(log_dir).mkdir(parents=True, exist_ok=True)
        with tf.summary.create_file_writer(str(log_dir)).as_default():
            tf.summary.graph(graph)
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or error.message
        raise ValueError(f"log_dir={str(log_dir)!r} cannot be written: {reason}") from error


def _calls(model):
    """The calls of a model's layers, in the order in which they are computed; none if it has no graph of them."""
    functional = getattr(model, "_functional", None) or model  # a Sequential model keeps one inside
    by_depth = getattr(functional, "_nodes_by_depth", {})
    return [call for depth in sorted(by_depth, reverse=True) for call in by_depth[depth]]


def _add_layers(graph, model, box, made_by, counted):
    """Add a node for each layer, named ``box`` and its name; ``made_by`` maps tensors to nodes."""
    calls, used = _calls(model), set()
    taken = {call.operation.name for call in calls}
    for call in calls:
        layer, sources = call.operation, [made_by[tensor] for tensor in call.input_tensors]
        if box and isinstance(layer, keras.layers.InputLayer):
            continue  # the box has no gate: what goes in comes from the nodes outside
        name = re.sub(r"^input_layer(_\d+)?$", "input", layer.name)  # Keras' running number says nothing
        if name in used:
            numbered = (f"{name}_{number}" for number in itertools.count(2))
            name = next(other for other in numbered if other not in used | taken)
        used.add(name)
        if _calls(layer):
            inner = made_by | dict(zip(layer.inputs, sources, strict=True))
            _add_layers(graph, layer, f"{box}{name}/", inner, counted)
            made_by.update(zip(call.output_tensors, [inner[tensor] for tensor in layer.outputs], strict=True))
            continue
        made_by.update(dict.fromkeys(call.output_tensors, box + name))
        node = graph.node.add(name=box + name, op=type(layer).__name__, input=sources)
        shapes = [tf.TensorShape(tensor.shape) for tensor in call.output_tensors]
        node.attr["_output_shapes"].list.shape.extend(shape.as_proto() for shape in shapes)  # on the edges
        node.attr["output_shape"].s = ", ".join(str(shape).replace("None", "?") for shape in shapes).encode()
        if hasattr(layer, "count_params"):  # a shared layer's parameters count once
            node.attr["parameters"].i = 0 if layer in counted else layer.count_params()
            counted.add(layer)
