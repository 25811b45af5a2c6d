"""`python -m zoo VERB`: the one door for everything but training.

A verb is a file in this folder whose name does not begin with an underscore. Its docstring's first line is its help;
`arguments(parser)` declares what it takes, `run(options)` does it. Heavy imports stay inside `run`.
"""

from zoo.cli._main import main

__all__ = ["main"]
