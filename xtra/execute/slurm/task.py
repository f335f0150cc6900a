"""The program of an element of a SLURM array: a worker for each of its jobs, side by side.

It is pickled by value, so it stands on nothing but submitit and Python. The module must import nothing of xtra: the checkout may
be half-edited when the job starts; the worker runs a snapshot.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence

from submitit.core.utils import DelayedSubmission

COMPUTED_ELSEWHERE = (3, 4)
"""`xtra.execute.worker.Exit.CLAIMED_ELSEWHERE` and `CLAIM_LOST`: another process has the job, or has taken it over."""

POLL_SECONDS = 0.2
"""Seconds between two looks at the workers."""

AGAIN_SECONDS = 10.0
"""Seconds until the next try at a job that another process has claimed."""

LAST_SECONDS = 600.0
"""Seconds to wait for SLURM to end a job whose node it takes back. A job that ends by itself has failed, and is not requeued."""


class SlurmTask:
    """Calls `command STORE KEY --parent PID` for each job and succeeds when a result of one of them is in the store.

    One that fails beside others must not cancel their readers; its own readers find its result missing.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.command = list(command)
        self.environment = dict(environment)

    def __call__(self, store_root: str, logs: Mapping[str, str]) -> None:
        """`logs`: the file that each job's output goes to, by its key."""
        statuses = self._run(store_root, logs)
        if 128 + signal.SIGTERM in statuses.values():
            time.sleep(LAST_SECONDS)
        failed = {key: status for key, status in statuses.items() if status != 0}
        message = "\n".join(
            f"{key} ended with status {status}; its own words are in {logs[key]}" for key, status in failed.items()
        )
        if len(failed) == len(logs):
            raise RuntimeError(message)
        print(message, flush=True)

    def checkpoint(self, store_root: str, logs: Mapping[str, str]) -> DelayedSubmission:
        """submitit's hook before it requeues the job: nothing to save, its files say where it was. SLURM may signal twice."""
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        return DelayedSubmission(self, store_root, logs)

    def _run(self, store_root: str, logs: Mapping[str, str]) -> dict[str, int]:
        """Returns the exit status of each job's last worker."""
        due = dict.fromkeys(logs, 0.0)
        workers: dict[str, subprocess.Popen[bytes]] = {}
        statuses: dict[str, int] = {}
        try:
            while due or workers:
                for key in [key for key, moment in due.items() if moment <= time.monotonic()]:
                    del due[key]
                    workers[key] = self._start(store_root, key, logs[key])
                for key in [key for key, worker in workers.items() if worker.poll() is not None]:
                    statuses[key] = workers.pop(key).returncode
                    if statuses[key] in COMPUTED_ELSEWHERE:  # by another launcher, or on a node that was lost: it has to go stale
                        due[key] = time.monotonic() + AGAIN_SECONDS
                time.sleep(POLL_SECONDS)
        except BaseException:  # submitit has requeued the job, or failed to, in its signal handler, and exits
            for worker in workers.values():
                worker.terminate()
            time.sleep(LAST_SECONDS)
            raise
        return statuses

    def _start(self, store_root: str, key: str, log_file: str) -> subprocess.Popen[bytes]:
        arguments = [*self.command, store_root, key, "--parent", str(os.getpid())]
        environment = {**os.environ, "PYTHONHASHSEED": "0", **self.environment}
        # Not when it is submitted: a job that has a directory for its output counts as begun.
        os.makedirs(os.path.dirname(log_file), exist_ok=True)  # noqa: PTH103, PTH120 - as for `open`
        with open(log_file, "ab") as log:  # noqa: PTH123 - a string crosses the pickle, whatever the Python version
            # A process group of its own: submitit's USR2 is for this process, and would kill the worker.
            return subprocess.Popen(arguments, stdout=log, stderr=log, env=environment, process_group=0)
