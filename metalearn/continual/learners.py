"""What learns from a stream: gradient descent, with or without replay, and La-MAML.

**Replay.** Chaudhry et al. 2019, "On tiny episodic memories in continual learning",
https://arxiv.org/abs/1902.10486: a step on the loss of the example that comes, and of some that a
reservoir holds.

**La-MAML.** Gupta, Yadav & Paull 2020, "La-MAML: look-ahead meta learning for continual learning",
https://arxiv.org/abs/2007.13904. In its notation, with θ₀ the parameters, α a rate for each of
them, b the batch that comes, b_m the same with what is replayed, and η the rate of the rates:

    θⱼ₊₁ = θⱼ − max(0, α) ∇ℓ(θⱼ, bⱼ),  j = 0 … k − 1       the look-ahead, an example at a time
    α ← α − η ∇_α ℓ(θ_k, b_m)                               first the rates,
    θ₀ ← θ₀ − max(0, α) ∇_θ₀ ℓ(θ_k, b_m)                    then, with these, the parameters

With `order=1` inner gradients are constants, as in the paper's experiments: ∇_θ₀ is then the
gradient at θ_k, and ∇_α = −Σⱼ ∇ℓ(θⱼ, bⱼ) times it. The authors' code takes the mean of the
meta-losses at θ₁ … θ_k, and clips gradients to a norm of 2; here it is the last one, as in the
paper's algorithm 1, and `clip` is that norm.

A head that learns on a frozen representation is the same `Sgd` on a linear network, where the
stream is of features.

Losses are means over the examples that a step sees, and rates are per unit of these.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import autograd_core as ac
from autograd_core import nn, optim
from metalearn.errors import OptionError
from metalearn.models import Model, mlp

Examples = tuple[Any, Any]
"""Inputs (n, …) and labels (n,)."""


class OnlineLearner(Protocol):
    """What learns online: pure functions of a state. `draws` is how many examples it wants
    replayed beside each one that comes."""

    @property
    def draws(self) -> int: ...

    def init(self, key: Any) -> Any:
        """The state before the stream."""

    def update(self, state: Any, examples: Examples, replayed: Examples) -> Any:
        """The state after some more examples, (n, …) and (n,), in this order; what is replayed
        beside each of them is (n, draws, …) and (n, draws)."""

    def outputs(self, state: Any, x: Any) -> Any:
        """Logits of all classes for inputs (n, …)."""


def linear(features: int, outputs: int) -> Model:
    """A linear layer that starts at 0, on inputs (n, features)."""
    model = mlp(features, outputs, ())
    return model._replace(init=lambda key: ac.tree_map(ac.zeros_like, model.init(key)))


def loss_of(model: Model, params: Any, examples: Examples) -> Any:
    """The mean cross entropy among all classes of the stream, those that are to come included."""
    return nn.cross_entropy(model.apply(params, examples[0], "batch")[0], examples[1])


def alone(example: Examples) -> Examples:
    """An example as a batch of one."""
    x, y = example
    return ac.expand_dims(x, 0), ac.expand_dims(y, 0)


def joined(first: Examples, second: Examples) -> Examples:
    """Two batches as one."""
    x, y = (ac.concatenate(pair) for pair in zip(first, second, strict=True))
    return x, y


@dataclass(frozen=True)
class Sgd:
    """A step of gradient descent for each example, with `draws` replayed ones beside it."""

    model: Model
    rate: float
    draws: int = 0

    def init(self, key: Any) -> Any:
        return self.model.init(key)

    def update(self, params: Any, examples: Examples, replayed: Examples) -> Any:
        def step(params: Any, slices: tuple[Examples, Examples]) -> tuple[Any, None]:
            example, beside = slices
            batch = joined(alone(example), beside) if self.draws else alone(example)
            gradient = ac.grad(lambda params: loss_of(self.model, params, batch))(params)
            return ac.tree_map(lambda p, g: p - self.rate * g, params, gradient), None

        return ac.scan(step, params, (examples, replayed))[0]

    def outputs(self, params: Any, x: Any) -> Any:
        return self.model.apply(params, x, "batch")[0]


class Rated(NamedTuple):
    """Parameters, and a rate for each of them."""

    params: Any
    rates: Any


@dataclass(frozen=True)
class LaMaml:
    """La-MAML on batches of `batch` examples; rates start at `rate`, and learn at `rates_rate`.

    A batch is looked at `glances` times, a meta-update each, before the next one comes. `update` is
    of a multiple of `batch`. Raises `OptionError` for settings that make no sense.
    """

    model: Model
    rate: float
    rates_rate: float = 0.1
    draws: int = 5
    batch: int = 3
    glances: int = 3
    order: int = 1
    clip: float = 2.0

    def __post_init__(self) -> None:
        if self.order not in (1, 2):
            raise OptionError(f"order={self.order!r}; expected 1 or 2")
        for name in ("draws", "batch", "glances"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name}={getattr(self, name)}; expected at least 1")

    def init(self, key: Any) -> Rated:
        params = self.model.init(key)
        return Rated(params, ac.tree_map(lambda p: ac.full_like(p, self.rate), params))

    def update(self, state: Rated, examples: Examples, replayed: Examples) -> Rated:
        count = examples[1].shape[0]
        if count % self.batch:
            raise OptionError(f"batch={self.batch}; expected a divisor of the {count} examples")
        batches = lambda x: ac.reshape(x, (count // self.batch, self.batch, *x.shape[1:]))
        flat = lambda x: ac.reshape(x, (x.shape[0] * x.shape[1], *x.shape[2:]))

        def step(state: Rated, slices: tuple[Examples, Examples]) -> tuple[Rated, None]:
            came, beside = slices
            both = joined(came, ac.tree_map(flat, beside))
            for _ in range(self.glances):
                state = self.moved(state, came, both)
            return state, None

        return ac.scan(step, state, ac.tree_map(batches, (examples, replayed)))[0]

    def moved(self, state: Rated, came: Examples, both: Examples) -> Rated:
        """The state after a batch, and what is replayed with it."""

        def meta_loss(state: Rated) -> Any:
            return loss_of(self.model, self.looked_ahead(state, came), both)

        gradient = ac.grad(meta_loss)(state)
        for_params, for_rates = (self._clipped(part) for part in gradient)
        rates = ac.tree_map(lambda a, g: a - self.rates_rate * g, state.rates, for_rates)
        return Rated(ac.tree_map(_descended, state.params, rates, for_params), rates)

    def looked_ahead(self, state: Rated, came: Examples) -> Any:
        """θ_k: the parameters after a step for each example."""

        def step(params: Any, example: Examples) -> tuple[Any, None]:
            at = ac.tree_map(ac.stop_gradient, params) if self.order == 1 else params
            gradient = ac.grad(lambda p: loss_of(self.model, p, alone(example)))(at)
            return ac.tree_map(_descended, params, state.rates, gradient), None

        return ac.scan(step, state.params, came)[0]

    def outputs(self, state: Rated, x: Any) -> Any:
        return self.model.apply(state.params, x, "batch")[0]

    def _clipped(self, gradient: Any) -> Any:
        """A gradient of norm `clip` at most."""
        share = ac.minimum(1.0, self.clip / (optim.global_norm(gradient) + 1e-6))
        return ac.tree_map(lambda g: g * share, gradient)


def _descended(parameter: Any, rate: Any, gradient: Any) -> Any:
    """A negative rate is none."""
    return parameter - ac.maximum(rate, 0.0) * gradient
