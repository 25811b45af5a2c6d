"""Tensor operations that know no call: edges in sorted order, sums and softmax over their segments, fused on a GPU."""
