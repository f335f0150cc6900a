"""`python benchmarks/gpu/pack.py`: puts the wheels that a flight installs into benchmarks/gpu/wheels, at most 64 MB.

xtra-bench itself is built here with the CUDA engine, for the Python that runs this, which must be the version of the device's
image; the others are requirements that an image with torch and NumPy may lack. CMake's definitions in `SKBUILD_CMAKE_DEFINE` and
architectures in `CUDAARCHS` are heeded.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIMIT_MB = 64
MISSING = (
    "pydantic",
    "pydantic-core",
    "annotated-doc",
    "annotated-types",
    "typing-inspection",
    "ruamel.yaml",
    "gymnasium",
    "farama-notifications",
    "cloudpickle",
    "ale-py",
    "zstandard",
    "submitit",
    "safetensors",
    "psutil",
    "typer",
    "rich",
    "shellingham",
    "click",
    "markdown-it-py",
    "mdurl",
    "pygments",
    "packaging",
    "pytest",
    "pluggy",
    "iniconfig",
    "hypothesis",
    "sortedcontainers",
)
"""Small, and harmless where the image has them: they are installed beside it, for the flight alone."""

SANITIZER = "nvidia-cuda-sanitizer-api==13.5.25"
"""`compute-sanitizer`, 18 MB, which belongs to CUDA's toolkit and not to what torch requires. Packages of 13.0 and 12.9 lack the
programs by which it starts another."""


def main() -> None:
    wheels = HERE / "wheels"
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(wheels)]
    demand = {"SKBUILD_CMAKE_DEFINE": "XTRA_CUDA=ON", **os.environ}
    subprocess.run([*pip, str(HERE.parents[1])], env=demand, check=True)
    subprocess.run([*pip, "--constraint", str(HERE.parents[1] / "constraints.txt"), *MISSING, SANITIZER], check=True)
    size = sum(path.stat().st_size for path in wheels.glob("*.whl")) / 1e6
    print(
        f"{len(list(wheels.glob('*.whl')))} wheels, {size:.1f} MB, for Python {sys.version_info.major}.{sys.version_info.minor}"
    )
    if size > LIMIT_MB:
        sys.exit(f"that is more than {LIMIT_MB} MB")


if __name__ == "__main__":
    main()
