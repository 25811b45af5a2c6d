"""Measurements for developers: `python -m benchmarks {vit,epoch,startup,kernels}`. Not installed with the package."""
