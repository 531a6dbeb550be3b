"""Functions of PyTorch's tensors, where somebody has imported it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autograd_core.testing.subjects.base import Arrays, Subject, Unavailable, loaded
from autograd_core.testing.subjects.traced import Traced

__tracebackhide__ = True  # pytest shows the user's lines


class Torch(Traced):
    """A function of PyTorch's tensors."""

    library = "torch"

    @classmethod
    def takes(cls, f: Any, leaves: Sequence[Any]) -> bool:
        torch = loaded("torch")
        if torch is None:
            return False
        return isinstance(f, torch.nn.Module) or any(isinstance(x, torch.Tensor) for x in leaves)

    @classmethod
    def kind(cls, y: Any) -> str:
        if not hasattr(y, "is_floating_point"):
            return ""
        return "f" if y.is_floating_point() else "c" if y.is_complex() else "i"

    @staticmethod
    def joined(x: Any, y: Any) -> Any:
        return loaded("torch").complex(x, y)

    @classmethod
    def host(cls, x: Any) -> np.ndarray:
        return x.detach().cpu().numpy(force=True) if hasattr(x, "detach") else np.asarray(x)

    def typed(self, x: np.ndarray) -> str:
        return f"torch.from_numpy({super().typed(x)})"

    def native(self, x: np.ndarray) -> Any:
        if any(stride < 0 for stride in x.strides):
            x = x.copy()
        made = loaded("torch").from_numpy(np.asarray(x) if x.flags.writeable else x.copy())
        return made if self.device is None else made.to(self.device)

    @classmethod
    def device_of(cls, x: Any) -> Any:
        device = getattr(x, "device", None)
        return None if getattr(device, "type", "cpu") == "cpu" else device

    def pull_native(self, leaves: Sequence[Any], cts: Sequence[Any]) -> Sequence[Any]:
        torch = loaded("torch")
        floats = [graded(leaves[i]) for i in self.places]
        with torch.enable_grad():
            outs = self.at_places(leaves)(*floats)
            pairs = [(y, g) for y, g in zip(outs, cts, strict=True) if y.requires_grad]
            if any(is_cut(y.grad_fn) for y, _ in pairs):
                raise Unavailable("a function of it is once_differentiable")
            if not pairs:
                return [torch.zeros_like(x) for x in floats]
            found = torch.autograd.grad(
                [y for y, _ in pairs],
                floats,
                [g for _, g in pairs],
                create_graph=True,
                allow_unused=True,
            )
        return [torch.zeros_like(x) if g is None else g for x, g in zip(floats, found, strict=True)]

    def pull(self, leaves: Arrays, cts: Arrays) -> list[Any]:
        try:
            return super().pull(leaves, cts)
        except RuntimeError as error:
            if "once_differentiable" in str(error) or "not implemented" in str(error):
                raise Unavailable(str(error)) from error
            raise

    def pulled(self, cts: Arrays) -> Subject:
        found = super().pulled(cts)
        found.pull(found.leaves, found.values(found.leaves))  # forward mode would not say
        return found

    def pushed(self, tangents: Arrays) -> Subject:
        raise Unavailable("PyTorch's own operations refuse to be differentiated in forward mode")

    def push_native(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> Sequence[Any]:
        torch = loaded("torch")
        ahead = torch.autograd.forward_ad
        try:
            with ahead.dual_level():
                pairs = zip(self.places, tangents, strict=True)
                duals = [ahead.make_dual(graded(leaves[i]), t) for i, t in pairs]
                outs = self.at_places(leaves)(*duals)
                pushed = [ahead.unpack_dual(y).tangent for y in outs]
        except (RuntimeError, NotImplementedError) as error:
            raise Unavailable(str(error).splitlines()[0]) from error
        pairs = zip(outs, pushed, strict=True)
        return [torch.zeros_like(y) if t is None else t for y, t in pairs]

    def push(self, leaves: Arrays, tangents: Arrays) -> list[np.ndarray]:
        return [np.array(t) for t in super().push(leaves, tangents)]


def graded(x: Any) -> Any:
    """A tensor that PyTorch differentiates by."""
    return x if x.requires_grad else x.detach().requires_grad_()


def is_cut(node: Any) -> bool:
    """Whether PyTorch would refuse to differentiate what a node made: it is connected to nothing,
    so that asking gives zeros instead of an error."""
    seen, waiting = set(), [node]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        if node.name().endswith("autograd::Error"):
            return True
        seen.add(node)
        waiting += [after for after, _ in node.next_functions]
    return False
