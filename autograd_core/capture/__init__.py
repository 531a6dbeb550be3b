"""Capture and compilation: a function as a graph, the graph as a program."""

from autograd_core.capture.jit import jit

__all__ = ["jit"]
