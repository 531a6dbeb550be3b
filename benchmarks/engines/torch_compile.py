"""The meta-training step in PyTorch by `torch.func`, compiled by `torch.compile`."""

from __future__ import annotations

import torch

from benchmarks.engines import torch_func
from benchmarks.engines.torch_common import AdamTraining
from benchmarks.workloads import Workload


def prepare(workload: Workload) -> AdamTraining:
    """A `Training` in this engine."""
    return torch_func.prepare_with(workload, torch.compile)
