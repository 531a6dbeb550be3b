"""One row an operation: our function, the other library's, and arguments.

No other library is imported here: its functions are looked up by name, or take it as their first
argument.
"""

from tests.oracles.tables.complex import COMPLEX, JAX_COMPLEX
from tests.oracles.tables.elementwise import BINARY, JAX_ELEMENTWISE, UNARY
from tests.oracles.tables.fft import FFT
from tests.oracles.tables.linalg import NAMED
from tests.oracles.tables.linear import EINSUM, JAX_LINEAR, LINALG, PRODUCTS
from tests.oracles.tables.reductions import REDUCTIONS, SORTING
from tests.oracles.tables.samples import JAX_SAMPLES
from tests.oracles.tables.structure import JAX_STRUCTURE, STRUCTURE

TABLE = [
    *UNARY,
    *BINARY,
    *REDUCTIONS,
    *SORTING,
    *STRUCTURE,
    *PRODUCTS,
    *EINSUM,
    *LINALG,
    *COMPLEX,
    *FFT,
    *NAMED,
]
"""The rows that are compared with torch."""

JAX_TABLE = [*JAX_ELEMENTWISE, *JAX_STRUCTURE, *JAX_LINEAR, *JAX_SAMPLES, *JAX_COMPLEX]
"""The rows of what torch lacks, or does otherwise; they are compared with JAX."""
