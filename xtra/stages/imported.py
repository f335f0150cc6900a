"""Stage `imported`: a network that was trained elsewhere, as the complete job that its file makes.

Its key follows from the file's content alone, so everybody who starts from that file shares all jobs after it. The file goes into
the store before anything is launched: no other machine needs its path.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import NoReturn

from xtra.agents.config import IMPORTED_FILE
from xtra.stages.config import ImportedConfig
from xtra.stages.context import StageContext
from xtra.stages.registry import STAGES
from xtra.store.job import Job
from xtra.store.provenance import hardware, software
from xtra.store.store import Store
from xtra.transfer.exchange import NetworkFile


def run(config: ImportedConfig, context: StageContext) -> NoReturn:
    """Never makes a network: a worker gets here only when the store has lost the one that was imported."""
    raise FileNotFoundError(
        f"the network of {config.stage} job {config.key} is not in this store: `xtra-bench import FILE` puts it there "
        f"(SHA-256 of the file: {config.sha256})"
    )


def imported_job(file: NetworkFile) -> Job:
    """The job that a file makes, wherever it lies."""
    config = ImportedConfig(sha256=file.sha256, **file.header.model_dump())
    return Job("imported", STAGES["imported"].version, config.model_dump(mode="json"))


def import_network(store: Store, file: NetworkFile) -> str:
    """Commits the file as its job, unless that is done already or another process is at it. Returns the job's key."""
    job, started = imported_job(file), time.monotonic()
    store.add(job)
    attempt = store.begin(job.key)
    if attempt is not None:
        try:
            (attempt.out / IMPORTED_FILE).write_bytes(file.data)
            finished = datetime.now(UTC).isoformat(timespec="seconds")
            provenance = {"hardware": hardware(), **software(), "finished": finished}
            store.commit(attempt, "complete", time.monotonic() - started, provenance)
        finally:
            attempt.claim.release()
    return job.key
