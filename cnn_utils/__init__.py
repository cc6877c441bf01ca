"""Helpers of the course: shape arithmetic, layers in NumPy, data, networks, graphs, figures."""
