"""What the reader waits for, measured beside what they would use instead. None of it runs in the tests.

``make benchmark`` runs all parts; one alone is ``python -m benchmarks.time_to_accuracy``, ``ladder``,
``layer_speed``, ``tiny_network``, ``numpy_training`` or ``start_up``. Each prints a table and writes JSON and a figure into
benchmarks/results. Ratios come from interleaved runs (A B A B ...), as medians with the whole range.
"""
