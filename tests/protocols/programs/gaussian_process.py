"""Gaussian-process regression: the log marginal likelihood of composed kernels, and predictions.

After Rasmussen & Williams (2006), chapters 2, 4 and 5. Hyperparameters are given by their logs.
"""

import numpy as np


def squared_distances(x, y):
    """(n, d) and (m, d) to (n, m), by the binomial formula, kept from going below 0."""
    xx = np.sum(x**2, axis=1)[:, np.newaxis]
    yy = np.sum(y**2, axis=1)[np.newaxis, :]
    return np.maximum(xx + yy - 2 * np.dot(x, y.T), 0.0)


class Kernel:
    """A covariance function; sums and products of kernels are kernels."""

    size = 0

    def __add__(self, other):
        return Pair(np.add, self, other)

    def __mul__(self, other):
        return Pair(np.multiply, self, other)


class Pair(Kernel):
    def __init__(self, combine, left, right):
        self.combine, self.left, self.right = combine, left, right
        self.size = left.size + right.size

    def __call__(self, theta, x, y):
        a, b = np.split(theta, [self.left.size])
        return self.combine(self.left(a, x, y), self.right(b, x, y))


class SquaredExponential(Kernel):
    """Variance, and a length for each dimension."""

    def __init__(self, dimensions):
        self.size = 1 + dimensions

    def __call__(self, theta, x, y):
        lengths = np.exp(theta[1:])
        return np.exp(theta[0] - 0.5 * squared_distances(x / lengths, y / lengths))


class RationalQuadratic(Kernel):
    """Length and mixing exponent."""

    size = 2

    def __call__(self, theta, x, y):
        length, alpha = np.exp(theta)
        base = 1 + squared_distances(x, y) / (2 * alpha * length**2)
        return np.power(base, -alpha)


class Matern52(Kernel):
    size = 1

    def __call__(self, theta, x, y):
        scaled = 5 * squared_distances(x, y) / np.square(np.exp(theta[0]))
        r = np.sqrt(scaled + 1e-12)
        return (1.0 + r + scaled / 3.0) * np.exp(-r)


class Periodic(Kernel):
    """Period and length, along the first dimension."""

    size = 2

    def __call__(self, theta, x, y):
        period, length = np.exp(theta)
        phase = np.pi * np.subtract.outer(x[:, 0], y[:, 0]) / period
        return np.exp(-2 * (np.sin(phase) / length) ** 2)


class Linear(Kernel):
    size = 1

    def __call__(self, theta, x, y):
        return np.einsum("id,jd->ij", x, y) * np.exp(theta[0])


class Constant(Kernel):
    size = 1

    def __call__(self, theta, x, y):
        return np.full_like(squared_distances(x, y), 1.0) * np.exp(theta[0])


class GaussianProcess:
    """Regression with a constant mean. The last two hyperparameters are the mean and the noise."""

    def __init__(self, kernel, jitter=1e-8):
        self.kernel, self.jitter = kernel, jitter

    @property
    def size(self):
        return self.kernel.size + 2

    def unpack(self, theta):
        return theta[:-2], theta[-2], np.exp(2 * theta[-1])

    def factor(self, theta, x):
        inner, _, noise = self.unpack(theta)
        k = self.kernel(inner, x, x)
        return np.linalg.cholesky(k + (noise + self.jitter) * np.eye(len(x)))

    def log_marginal_likelihood(self, theta, x, y):
        """Equation 2.30, by algorithm 2.1."""
        lower = self.factor(theta, x)
        residual = y - self.unpack(theta)[1]
        whitened = np.linalg.solve(lower, residual)
        fit = 0.5 * np.inner(whitened, whitened)
        complexity = np.log(np.diagonal(lower)).sum()
        return -fit - complexity - 0.5 * len(y) * np.log(2 * np.pi)

    def predict(self, theta, x, y, new):
        """The mean and the covariance at new places, equations 2.25 and 2.26."""
        inner, mean, _ = self.unpack(theta)
        lower = self.factor(theta, x)
        across = self.kernel(inner, x, new)
        alpha = np.linalg.solve(lower.T, np.linalg.solve(lower, y - mean))
        v = np.linalg.solve(lower, across)
        return mean + across.T @ alpha, self.kernel(inner, new, new) - v.T @ v

    def leave_one_out(self, theta, x, y):
        """The log predictive probability of each observation given the others, section 5.4.2."""
        lower = self.factor(theta, x)
        inverse = np.linalg.inv(lower @ np.transpose(lower))
        variance = 1 / np.diag(inverse)
        error = (inverse @ (y - self.unpack(theta)[1])) * variance
        terms = -0.5 * np.log(variance) - error**2 / (2 * variance) - 0.5 * np.log(2 * np.pi)
        return np.mean(terms)


def expected_improvement(mean, deviation, best):
    """Of a normal variable below `best`; the normal distribution by a logistic approximation."""
    z = (best - mean) / deviation
    cdf = 1 / (1 + np.exp(-1.702 * z))
    pdf = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return deviation * (z * cdf + pdf)


def model():
    """All kernels at once."""
    smooth = SquaredExponential(2) * Periodic()
    rough = Matern52() + RationalQuadratic() * Constant()
    return GaussianProcess(smooth + rough + Linear())


def objective(theta, x, y, new):
    """What a program would minimise: the likelihood, cross-validation, and an acquisition."""
    process = model()
    mean, covariance = process.predict(theta, x, y, new)
    deviation = np.sqrt(np.clip(np.diag(covariance), 1e-10, None))
    gain = expected_improvement(mean, deviation, np.min(y))
    return (
        -process.log_marginal_likelihood(theta, x, y) / len(y)
        - process.leave_one_out(theta, x, y)
        - np.log(np.max(gain))
    )


def example():
    rng = np.random.default_rng(3)
    x = rng.uniform(-2, 2, (9, 2))
    y = np.sin(2 * x[:, 0]) + 0.3 * x[:, 1] + 0.1 * rng.normal(size=9)
    theta = 0.3 * rng.normal(size=model().size)
    return theta, x, y, rng.uniform(-2, 2, (3, 2))
