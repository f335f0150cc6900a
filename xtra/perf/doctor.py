"""An examination of this machine: what it has, how much of it this installation uses, and what is slow and why."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import torch

from xtra.cuda_graphs import SWITCH
from xtra.search import _native
from xtra.search.cuda import cuda_kernels, installed_kernels
from xtra.store.provenance import hardware, package_version, software

DRIVER = Path("/proc/driver/nvidia/version")
"""Where NVIDIA's kernel module of Linux tells its version; under Windows' Linux there is a driver without that file."""

SECONDS_FOR_SBATCH = 20

EXTRAS = {
    "minatar": "protocol minatar: pip install 'xtra-bench[minatar]'",
    "pygame": "most of Gymnasium's environments: pip install 'xtra-bench[gymnasium]'",
    "tensorboard": "curves in TensorBoard: pip install 'xtra-bench[tensorboard]'",
    "wandb": "metrics in Weights & Biases: pip install 'xtra-bench[wandb]'",
}
"""Packages that are not needed, by name, and what they are for."""


@dataclass(frozen=True)
class Finding:
    """The state of one topic. advice: what is slow or missing because of it, and the remedy; "" if all is well."""

    topic: str
    state: str
    advice: str = ""


def examine() -> list[Finding]:
    """Returns findings, each about a topic of its own."""
    return [
        _installation(),
        _processor(),
        _instruction_set(),
        _threads(),
        _torch(),
        _driver(),
        *_gpus(),
        _engine(),
        _slurm(),
        *_extras(),
    ]


def _installation() -> Finding:
    made_by = software()
    commit = f", commit {made_by['git_commit'][:12]}" if made_by["git_commit"] else ""
    changed = " with changes" if made_by["git_dirty"] else ""
    return Finding(
        "xtra-bench", f"{package_version('xtra-bench') or 'not installed'}{commit}{changed}, Python {made_by['python']}"
    )


def _processor() -> Finding:
    machine = hardware()
    cores, all_cores = machine["cores"], os.cpu_count() or machine["cores"]
    allowed = f"{cores} of {all_cores} cores" if cores < all_cores else f"{cores} core{'s' * (cores > 1)}"
    state = f"{machine['cpu']}, {allowed}, {machine['memory_gb']:.0f} GB"
    if not computes_in_bfloat16():
        return Finding("processor", state)
    advice = "" if torch.cuda.is_available() else "agent.precision=bfloat16 makes updates at paper size nearly twice as fast"
    return Finding("processor", f"{state}, computes in bfloat16", advice)


def computes_in_bfloat16() -> bool:
    """Tells whether this is an x86 processor that multiplies in bfloat16 (AVX512-BF16 or AMX), as far as this torch can say."""
    return any(check() for name in _BFLOAT16_CHECKS if (check := getattr(torch.cpu, name, None)) is not None)


_BFLOAT16_CHECKS = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
"""Of torch.cpu, not in every version."""


def _instruction_set() -> Finding:
    available = _native.instruction_sets()
    advice = "" if len(available) > 1 else "without AVX2 the tree search on CPU works on one number at a time"
    return Finding("tree search on CPU", f"{available[-1]}; this processor runs {', '.join(available)}", advice)


def _threads() -> Finding:
    variable = os.environ.get("OMP_NUM_THREADS")
    state = f"{torch.get_num_threads()} in torch" + (f" (OMP_NUM_THREADS={variable})" if variable else "")
    return Finding("threads", f"{state}; a training run sets its own, training.num_threads")


def _torch() -> Finding:
    built_for = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
    advice = ""
    if DRIVER.exists() and not torch.version.cuda:
        advice = "there is an NVIDIA driver, but this torch computes on the CPU alone; install a build with CUDA (pytorch.org)"
    return Finding("torch", f"{torch.__version__}, {built_for}", advice)


def _driver() -> Finding:
    if not DRIVER.exists():
        return Finding("NVIDIA driver", "of unknown version" if torch.cuda.is_available() else "none")
    version = re.search(r"\d+\.\d+(\.\d+)?", DRIVER.read_text(encoding="utf-8"))
    return Finding("NVIDIA driver", version.group() if version else "of unknown version")


def _gpus() -> list[Finding]:
    if not torch.cuda.is_available():
        return [Finding("GPU", "none that torch can use", _why_no_gpu())]
    findings = []
    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        state = f"{about.name}, {about.total_memory / 2**30:.0f} GB, compute capability {about.major}.{about.minor}"
        advice = "" if about.major >= 8 else "below compute capability 8.0 bfloat16 is emulated; set agent.precision=float32"
        findings.append(Finding(f"GPU {index}", state, advice))
    return findings


def _why_no_gpu() -> str:
    if not torch.version.cuda or not DRIVER.exists():
        return "" if not DRIVER.exists() else "see torch"
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return "CUDA_VISIBLE_DEVICES is empty, which hides every GPU; unset it"
    return f"torch for CUDA {torch.version.cuda} does not start on this driver; update the driver, or take an older torch"


def _engine() -> Finding:
    topic = "tree search on GPU"
    if not torch.cuda.is_available():
        return Finding(topic, f"not needed without a GPU; {installed_kernels()}")
    kernels = cuda_kernels()
    if kernels.engine is None:
        state = "trees stay on the CPU; every simulation waits for copies, nothing is captured as a graph"
        return Finding(topic, state, kernels.fault)
    engine = f"the CUDA engine, {kernels.origin}"
    if os.environ.get(SWITCH) == "0":
        return Finding(topic, f"{engine}; kernel by kernel", f"{SWITCH}=0 launches every kernel from the host; unset it")
    return Finding(topic, f"{engine}; searches and updates are captured as CUDA graphs")


def _slurm() -> Finding:
    sbatch = shutil.which("sbatch")
    if sbatch is None:
        return Finding("SLURM", "none: sbatch is not on PATH")
    broken = f"{sbatch}, which does not answer"
    try:
        answer = subprocess.run([sbatch, "--version"], capture_output=True, text=True, timeout=SECONDS_FOR_SBATCH)
    except OSError as error:
        return Finding("SLURM", broken, f"it cannot be started: {error.strerror}")
    except subprocess.TimeoutExpired:
        return Finding("SLURM", broken, f"`sbatch --version` takes more than {SECONDS_FOR_SBATCH} seconds")
    if answer.returncode != 0:
        words = (answer.stderr or answer.stdout).strip().splitlines() or ["and says nothing"]
        return Finding("SLURM", broken, f"`sbatch --version` exits with {answer.returncode}: {words[-1]}")
    job = os.environ.get("SLURM_JOB_ID")
    return Finding("SLURM", answer.stdout.strip() + (f"; this is job {job}" if job else ""))


def _extras() -> list[Finding]:
    findings = []
    for package, purpose in EXTRAS.items():
        version = package_version(package)
        findings.append(Finding(package, version or "not installed", "" if version else f"needed for {purpose}"))
    return findings
