"""What a SLURM job runs: a worker as a child process. Pickled by value, so it stands on nothing but submitit and Python.

The module must import nothing of xtra: the checkout may be half-edited when the job starts; the worker runs a snapshot.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence

from submitit.core.utils import DelayedSubmission

CLAIMED_ELSEWHERE = 3
"""`xtra.execute.worker.Exit.CLAIMED_ELSEWHERE`."""

LAST_SECONDS = 600
"""To wait for SLURM to end a job whose node it takes back. A job that ends by itself has failed, and is not requeued."""


class SlurmTask:
    """Calls `command STORE KEY --parent PID` and succeeds when the job's result is in the store."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = list(command)

    def __call__(self, store_root: str, key: str, log_file: str) -> None:
        status = self._run(store_root, key, log_file)
        while status == CLAIMED_ELSEWHERE:  # by another launcher, or by a node that was lost: its claim has to go stale
            time.sleep(10)
            status = self._run(store_root, key, log_file)
        if status == 128 + signal.SIGTERM:
            time.sleep(LAST_SECONDS)
        if status != 0:
            raise RuntimeError(f"{key} ended with status {status}; its own words are in {log_file}")

    def checkpoint(self, store_root: str, key: str, log_file: str) -> DelayedSubmission:
        """submitit's hook before it requeues the job: nothing to save, its files say where it was. SLURM may signal twice."""
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        return DelayedSubmission(self, store_root, key, log_file)

    def _run(self, store_root: str, key: str, log_file: str) -> int:
        arguments = [*self.command, store_root, key, "--parent", str(os.getpid())]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        with open(log_file, "ab") as log:  # noqa: PTH123 - a string crosses the pickle, whatever the Python version
            # A process group of its own: submitit's USR2 is for this process, and would kill the worker.
            worker = subprocess.Popen(arguments, stdout=log, stderr=log, env=environment, process_group=0)
        try:
            return worker.wait()
        except BaseException:  # submitit has requeued the job, or failed to, in its signal handler, and exits
            worker.terminate()
            time.sleep(LAST_SECONDS)
            raise
