"""Special functions under the names of `scipy.special`, with derivatives of any order.

    from autograd_core import special
    special.log_ndtr(-40.0)

| functions | of |
|---|---|
| `erf`, `erfc`, `erfcx`, `erfinv` | errors |
| `ndtr`, `log_ndtr` | the normal distribution |
| `gammaln`, `digamma`, `polygamma`, `betaln` | Gamma and Beta |
| `expit`, `logit`, `entr`, `xlogy`, `xlog1py` | odds and entropies |
| `i0e`, `i1e` | scaled modified Bessel functions |

They take real arguments: floating-point dtypes are kept, integers count as float64. Values are
within a few units in the last place, `docs/conventions.md` has those at edges.
"""

from autograd_core.ops.special import (
    betaln,
    digamma,
    entr,
    erf,
    erfc,
    erfcx,
    erfinv,
    expit,
    gammaln,
    i0e,
    i1e,
    log_expit,
    log_ndtr,
    logit,
    ndtr,
    polygamma,
    psi,
    xlog1py,
    xlogy,
)

__all__ = [
    "betaln",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "expit",
    "gammaln",
    "i0e",
    "i1e",
    "log_expit",
    "log_ndtr",
    "logit",
    "ndtr",
    "polygamma",
    "psi",
    "xlog1py",
    "xlogy",
]
