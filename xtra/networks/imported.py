"""A network that was trained elsewhere, put into a store: a complete job of stage `imported`, made of nothing but its file.

The job's key follows from the file's content alone, so everybody who starts from that file shares all jobs after it. The file
goes into the store before anything is launched: no other machine needs its path.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

from xtra.agents.config import IMPORTED_FILE
from xtra.networks.network_file import NetworkFile, NetworkHeader
from xtra.store.job import Job
from xtra.store.provenance import hardware, software
from xtra.store.store import Store

if TYPE_CHECKING:
    from xtra.stages.context import StageContext

VERSION = 1
"""The stage's, as in `xtra.stages.registry`."""


class ImportedConfig(NetworkHeader):
    """Stage `imported`: the file's header, and the hash that tells which file it is."""

    sha256: str
    """SHA-256 of the whole file."""


def run(config: ImportedConfig, context: StageContext) -> NoReturn:
    """Refuses to run: a worker gets here only if the store has lost the imported network, which no job can make again.

    Raises FileNotFoundError, saying how to import it again.
    """
    raise FileNotFoundError(
        f"the network of {config.stage} job {config.key} is not in this store: `xtra-bench import FILE` puts it there "
        f"(SHA-256 of the file: {config.sha256})"
    )


def imported_job(file: NetworkFile) -> Job:
    """Returns the job that stands for a network file, wherever the file lies."""
    config = ImportedConfig(sha256=file.sha256, **file.header.model_dump())
    return Job("imported", VERSION, config.model_dump(mode="json"))


def import_network(store: Store, file: NetworkFile) -> str:
    """Commits a network file as its job, unless the store has it or another process is committing it. Returns the job's key."""
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
