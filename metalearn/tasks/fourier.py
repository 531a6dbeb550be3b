"""Random Fourier functions: smooth curves, as from a Gaussian process.

    f(x) = s √(2/M) Σₘ wₘ sin(ωₘ x / ℓ + bₘ)     wₘ, ωₘ ~ N(0, 1),  bₘ ~ U[0, 2π],  m = 1 … M

Rahimi & Recht 2007, "Random features for large-scale kernel machines": over functions, f has mean 0
and covariance s² exp(−(x − x′)² / 2ℓ²), and is a Gaussian process for M → ∞. The lengthscale ℓ is
uniform in a range, each task its own, as in Kim et al. 2019, "Attentive neural processes",
section 4.1.
"""

import numpy as np

from metalearn.tasks.errors import DataError
from metalearn.tasks.random import between, normals
from metalearn.tasks.regression import FunctionSampler

TERMS = 32
LENGTHSCALE = (0.5, 2.0)


class FourierSampler(FunctionSampler):
    """K-shot regression tasks on random Fourier functions: x and y (K, 1) float32.

    `lengthscale` is the range of ℓ, in units of x, which is uniform in [−5, 5]; `terms` is M and
    `amplitude` s. Raises `DataError` for numbers out of range.
    """

    def __init__(
        self,
        shots: int,
        queries: int,
        seed: int,
        stream: str = "train",
        noise: float = 0.0,
        *,
        terms: int = TERMS,
        lengthscale: tuple[float, float] = LENGTHSCALE,
        amplitude: float = 1.0,
    ):
        super().__init__(shots, queries, seed, stream, noise)
        low, high = lengthscale
        if terms < 1 or not 0 < low <= high < np.inf or not 0 < amplitude < np.inf:
            raise DataError(
                f"terms={terms}, lengthscale={lengthscale}, amplitude={amplitude}; expected at "
                "least one term, and positive numbers, the lengthscale's from low to high"
            )
        self.terms, self.lengthscale, self.amplitude = terms, (low, high), amplitude
        self.numbers = 3 * terms + 1

    def values(self, made: np.ndarray, x: np.ndarray) -> np.ndarray:
        m = self.terms
        normal = normals(made[:, : 2 * m])
        weight, frequency = np.split(normal, 2, axis=1)
        frequency = frequency / between(made[:, 3 * m :], self.lengthscale)
        phase = 2 * np.pi * made[:, 2 * m : 3 * m]
        total = np.zeros_like(x)
        # Term by term, so that a task's sum has one order whatever other tasks there are.
        for w, omega, b in zip(weight.T, frequency.T, phase.T, strict=True):
            total += w[:, None] * np.sin(omega[:, None] * x + b[:, None])
        return self.amplitude * np.sqrt(2 / m) * total
