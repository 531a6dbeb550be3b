"""A solver of incompressible flow on a torus: Stam, "Stable fluids" (1999), with smoke that rises.

Velocities and smoke lie on an n × n grid of unit spacing; axis 0 is x and axis 1 is y.
"""

import numpy as np


def shifts(field):
    """The field one cell to each side."""
    left, right = np.roll(field, 1, axis=0), np.roll(field, -1, axis=0)
    below, above = np.roll(field, 1, axis=1), np.roll(field, -1, axis=1)
    return left, right, below, above


def divergence(u, v):
    _, right, _, _ = shifts(u)
    left, _, _, _ = shifts(u)
    _, _, below, above = shifts(v)
    return 0.5 * (right - left + above - below)


def curl(u, v):
    left, right, _, _ = shifts(v)
    _, _, below, above = shifts(u)
    return 0.5 * (right - left - above + below)


def slope(field):
    left, right, below, above = shifts(field)
    return 0.5 * (right - left), 0.5 * (above - below)


def relax(right_hand, weight, total, sweeps):
    """Jacobi's method for total·p - weight·(sum of neighbours) = right_hand."""
    p = np.zeros_like(right_hand)
    for _ in range(sweeps):
        p = (right_hand + weight * np.sum(np.stack(shifts(p)), axis=0)) / total
    return p


def diffuse(field, rate, step, sweeps=8):
    """Implicitly, so that any step is stable."""
    amount = rate * step
    return relax(field, amount, 1 + 4 * amount, sweeps)


def project(u, v, sweeps=12):
    """The part of the velocities that has (nearly) no divergence: a pressure is taken off."""
    pressure = relax(-divergence(u, v), 1.0, 4.0, sweeps)
    x_slope, y_slope = slope(pressure)
    u -= x_slope
    v -= y_slope
    return u, v


def sample(field, x, y):
    """The field between cells, bilinearly; the grid goes on periodically."""
    n, m = field.shape
    left, below = np.floor(x), np.floor(y)
    right_part, above_part = x - left, y - below
    i, j = np.mod(left.astype(int), n), np.mod(below.astype(int), m)
    i_next, j_next = (i + 1) % n, (j + 1) % m
    lower = (1 - right_part) * field[i, j] + right_part * field[i_next, j]
    upper = (1 - right_part) * field[i, j_next] + right_part * field[i_next, j_next]
    return (1 - above_part) * lower + above_part * upper


def advect(field, u, v, step):
    """Each cell gets what the flow carries there: half a step back, then a whole one from it."""
    n, m = field.shape
    x, y = np.meshgrid(np.arange(n), np.arange(m), indexing="ij")
    half_u = sample(u, x - 0.5 * step * u, y - 0.5 * step * v)
    half_v = sample(v, x - 0.5 * step * u, y - 0.5 * step * v)
    return sample(field, x - step * half_u, y - step * half_v)


def confine(u, v, strength):
    """Vorticity confinement: a force that keeps eddies turning."""
    w = curl(u, v)
    x_slope, y_slope = slope(np.abs(w))
    length = np.hypot(x_slope, y_slope) + 1e-5
    return strength * y_slope / length * w, -strength * x_slope / length * w


def energy(u, v):
    return 0.5 * np.mean(u**2 + v**2)


def limited(u, v, most):
    """Velocities of at most some magnitude, smoothly."""
    speed = np.sqrt(u * u + v * v + 1e-12)
    factor = most * np.tanh(speed / most) / speed
    return factor * u, factor * v


def advance(u, v, smoke, step, viscosity, buoyancy):
    force_u, force_v = confine(u, v, 0.05)
    lift = buoyancy * (smoke - smoke.mean())
    u, v = limited(u + step * force_u, v + step * (force_v + lift), 3.0)
    u, v = diffuse(u, viscosity, step), diffuse(v, viscosity, step)
    u, v = project(u, v)
    u, v = advect(u, u, v, step), advect(v, u, v, step)
    u, v = project(u, v)
    return u, v, np.clip(advect(smoke, u, v, step), 0.0, None)


def simulate(u, v, smoke, parameters, steps=3, step=0.4):
    """The state after some steps; parameters are the logs of viscosity and buoyancy."""
    viscosity, buoyancy = np.exp(parameters)
    for _ in range(steps):
        u, v, smoke = advance(u, v, smoke, step, viscosity, buoyancy)
    return u, v, smoke


def mismatch(u, v, smoke, parameters, target):
    """How far the smoke is from where it should be, with a price on energy and compression."""
    u, v, smoke = simulate(u + 0.0, v + 0.0, smoke, parameters)
    blurred = [0.5 * field + 0.125 * sum(shifts(field)) for field in (smoke, target)]
    error = np.linalg.norm(blurred[0] - blurred[1]) ** 2 / smoke.size
    return error + 0.01 * energy(u, v) + np.average(np.abs(divergence(u, v)) ** 2)


def example(n=6):
    rng = np.random.default_rng(4)
    u, v = 0.4 * rng.normal(size=(2, n, n))
    smoke, target = rng.uniform(0.2, 1, (2, n, n))
    return u, v, smoke, np.array([-2.0, -0.5]), target
