"""BOIL: body only update in inner loop. All but the last layer are adapted.

Oh, Yoo, Kim & Yun 2021, "BOIL: towards representation change for few-shot learning",
https://arxiv.org/abs/2008.08882. With θ_b the body, θ_h the head (the last layer), α_b and α_h
their inner rates, and L the loss of a task on its support set:

    θ_b′ = θ_b − α_b ∇θ_b L,  θ_h′ = θ_h − α_h ∇θ_h L,  α_h = 0    section 3: `Maml.step`

while the outer loop changes both. A fixed head cannot tell the classes of a new task apart until
the body moves their features to its rows, so that the body has to change with each task; in ANIL
(α_b = 0) it may not. MAML is both rates alike.

Rates are per unit of mean loss, as in `algorithms.maml` and in the authors' code, which has one
inner step with α_b = 0.5 (https://github.com/HJ-Yoo/BOIL).
"""

from dataclasses import dataclass, field

from metalearn.algorithms.maml import Maml


@dataclass(frozen=True)
class Boil(Maml):
    """MAML whose inner steps leave the last layer alone; see `Algorithm`."""

    rate: float = 0.5
    adapts: str = field(default="body", init=False)

    def describe(self) -> str:
        return f"{super().describe()}, of all but the last layer"
