"""Nearest neighbours among the vectors of functions. Knows vectors and positions, nothing about code.

Vectors are kept as int8 codes (`Codes`), and similarity is the cosine of the codes, computed exactly. So a
search gives the same bits for every block size, thread count and linear algebra library. `ExactIndex`
compares everything with everything and is recommended up to 100,000 functions; an approximate index for
more can stand behind the same `VectorIndex` protocol, with the exact one as its oracle. `NeighbourTable` keeps
the answers to the one question that findings ask, who is nearest to whom, while vectors come and go; there the
words of units count beside their vectors, and the files they stand in.
"""

from __future__ import annotations

from polyclone.index.agreement import Words
from polyclone.index.codes import Codes, quantise, similarity
from polyclone.index.exact import ExactIndex
from polyclone.index.protocol import Neighbours, VectorIndex
from polyclone.index.table import NeighbourTable

__all__ = ["Codes", "ExactIndex", "NeighbourTable", "Neighbours", "VectorIndex", "Words", "quantise", "similarity"]
