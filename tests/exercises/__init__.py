"""Answers to the exercises of each notebook, as readers give them.

``RIGHT`` maps an exercise to unusual right answers, ``WRONG`` to wrong ones, each with words of the hint that it deserves.
"""
