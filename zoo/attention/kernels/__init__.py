"""The kernels, in the order in which they are tried: the first without an objection computes the call."""

from zoo.attention.kernels.edge_fused import EdgeFused
from zoo.attention.kernels.edge_list import EdgeList
from zoo.attention.kernels.flex import Flex
from zoo.attention.kernels.linear import Linear
from zoo.attention.kernels.lsh import LSHBuckets
from zoo.attention.kernels.probsparse import ProbSparseRows
from zoo.attention.kernels.reference import Reference
from zoo.attention.kernels.sdpa import SDPA

KERNELS = (SDPA(), Flex(), Linear(), ProbSparseRows(), LSHBuckets(), EdgeFused(), EdgeList(), Reference())
