"""Measurements for developers: `python -m benchmarks {vit,epoch,startup,kernels,gat}`. Not installed with the package."""
