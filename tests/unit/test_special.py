"""Special functions: values at edges, derivatives at extreme arguments, and their conventions."""

import doctest

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import special
from autograd_core.ops import normalize
from autograd_core.ops import special as family

INF, NAN = np.inf, np.nan


def d(f, *x, order=1):
    """Derivatives of some order in the first argument."""
    for _ in range(order):
        f = ac.grad(f)
    return f(*map(float, x)).item()


# Documentation --------------------------------------------------------------------------------

DOCUMENTED = [getattr(special, name) for name in special.__all__]


@pytest.mark.parametrize("function", DOCUMENTED, ids=special.__all__)
def test_examples(function):
    assert ">>>" in function.__doc__
    test = doctest.DocTestParser().get_doctest(function.__doc__, {}, function.__name__, None, 0)
    failures = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False).run(test, failures.append)
    assert not failures, "".join(failures)


def test_names():
    assert special.expit is ac.sigmoid is normalize.sigmoid
    assert special.gammaln is ac.lgamma
    assert ac.special is special and "special" in ac.__all__
    for name in ("erf", "erfc", "digamma", "polygamma"):
        assert getattr(special, name) is getattr(ac, name)
    assert set(special.__all__) <= set(family.__all__)
