"""Torch's settings, made before anything is computed."""

from __future__ import annotations

import os

import torch


def prepare_torch(num_threads: int) -> torch.device:
    """Fixes the intra-op threads, demands deterministic kernels, and picks the device: the first GPU if there is one."""
    torch.set_num_threads(num_threads)
    # cuBLAS is deterministic only with a fixed workspace, and reads this when it starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # The same flag as `use_deterministic_algorithms` sets, which also imports torch's compiler: a second of every job's start.
    torch.set_deterministic_debug_mode("error")
    # Nothing reads memory before it is written, so filling it first only costs: a tenth of a small network's update.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
