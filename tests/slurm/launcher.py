"""Submits jobs from a process of its own: `launcher.py STORE MAX_ARRAY_SIZE KEY...`, on the code in XTRA_TEST_CODE if set."""

import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path

CODE = os.environ["XTRA_TEST_CODE"]


class CheckoutFinder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):  # type: ignore[no-untyped-def]
        ours = CODE and name.partition(".")[0] in ("xtra", "xtra_analysis")
        return PathFinder.find_spec(name, path or [CODE]) if ours else None


sys.meta_path.insert(0, CheckoutFinder)  # type: ignore[arg-type]

from xtra.execute.slurm.launch import SlurmLauncher  # noqa: E402
from xtra.execute.slurm.profile import SlurmProfile  # noqa: E402
from xtra.store.store import Store  # noqa: E402

store = Store(Path(sys.argv[1]))
profile = SlurmProfile(max_array_size=int(sys.argv[2]))
jobs = {key: store.job(key) for key in sys.argv[3:]}
SlurmLauncher(store, store.root.parent / "slurm", profile, "light_stages:STAGES").submit(jobs)
