"""`python -m zoo VERB`: the one door for everything but training.

A verb is a file in this folder whose name does not begin with an underscore. Its docstring's first line is its help;
`arguments(parser)` declares what it takes, `run(options)` does it, and may return an exit code: None is 0, 2 is for bad
input, which is a ZooError. Heavy imports stay inside `run`.
"""

from zoo.cli._main import main

__all__ = ["main"]
