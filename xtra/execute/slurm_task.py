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


class SlurmTask:
    """Calls `command STORE KEY`. `checkpoint` is submitit's hook: the task is requeued as it is, its files say where it was."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = list(command)

    def __call__(self, store_root: str, key: str, log_file: str) -> None:
        status = self._run(store_root, key, log_file)
        while status == CLAIMED_ELSEWHERE:  # by another launcher, or by a node that was lost: its claim has to go stale
            time.sleep(10)
            status = self._run(store_root, key, log_file)
        if status in (128 + signal.SIGTERM, 128 + signal.SIGINT):
            # SLURM is taking the node back. Ending now would be a failure, which is not requeued: wait to be ended.
            time.sleep(600)
        if status != 0:
            raise RuntimeError(f"{key} ended with status {status}; its own words are in {log_file}")

    def checkpoint(self, store_root: str, key: str, log_file: str) -> DelayedSubmission:
        return DelayedSubmission(self, store_root, key, log_file)

    def _run(self, store_root: str, key: str, log_file: str) -> int:
        arguments = [*self.command, store_root, key, "--parent", str(os.getpid())]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        with open(log_file, "ab") as log:  # noqa: PTH123 - a string crosses the pickle, whatever the Python version
            # A process group of its own: submitit's USR2 is for this process, and would kill the worker.
            worker = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0, env=environment
            )
        try:
            return worker.wait()
        except BaseException:  # submitit exits from its signal handler
            worker.terminate()
            try:
                worker.wait(timeout=10)
            except subprocess.TimeoutExpired:
                worker.kill()
            raise
