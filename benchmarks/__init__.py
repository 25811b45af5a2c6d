"""Measurements for developers: `python -m benchmarks --help` lists them. Not installed with the package."""
