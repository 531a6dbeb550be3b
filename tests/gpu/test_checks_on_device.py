"""`check_grads` checks functions where their arguments lie."""

import numpy as np
import pytest

import autograd_core as ac
from autograd_core.testing import GradientError, check_grads
from tests.gpu.harness import needs_host_compiler

pytestmark = needs_host_compiler
X = np.linspace(0.3, 1.1, 6).reshape(2, 3)


def test_functions_run_on_the_device(cuda):
    seen = set()

    def f(x, y):
        seen.update((x.device, y.device))
        return ac.sin(x) * ac.exp(y)

    x, y = (ac.asarray(a).to_device(cuda) for a in (X, X[0]))
    report = check_grads(f, x, y, search=False)
    assert seen == {cuda}
    assert report.decided and {"order 2, rev", "order 2, fwd"} <= report.checked.keys()


def test_wrong_rules_are_found_there(cuda):
    f = ac.custom_vjp(lambda x: ac.sin(x))
    f.defvjp(lambda x: (ac.sin(x), x), lambda x, g: (-g * ac.cos(x),))
    with pytest.raises(GradientError, match="sign is wrong"):
        check_grads(f, ac.asarray(X).to_device(cuda), search=False)
