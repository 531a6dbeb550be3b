"""Capture and compilation: a function as a graph, the graph as a program.

`trace.py` captures, `graph.py` is what it captures to, `passes/` make that better, `lowering/`
turns it into steps over memory, and `jit.py` is what people call.
"""

from autograd_core.capture.control import cond, scan, while_loop
from autograd_core.capture.explain import Explanation
from autograd_core.capture.jit import jit

__all__ = ["Explanation", "cond", "jit", "scan", "while_loop"]
