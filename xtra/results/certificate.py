"""A certificate: what a study's rows were made from, kept beside them, so that anybody can make some of them again and compare.

It names every job that the rows depend on, with its whole configuration, the hash of every file that it left, how long it took
and on what; and the hash of every file of rows. A report follows from the rows and may be made anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xtra.config import Config
from xtra.results.run_record import PLAN_FILE, read_cells
from xtra.store.files import StoreError, sha256, write_text_atomically
from xtra.store.job import Job, Resources, canonical_json
from xtra.store.manifest import Manifest
from xtra.store.rows import CELL_KEY, PROBES, SCORES, read_csv
from xtra.store.store import Store

FILE_NAME = "certificate.json"

UNHASHED = frozenset({FILE_NAME, "HOW.md", "report.html"})
"""Files of a study that may change: the certificate, what is told of the study, and the page, which follows from the rows."""

SCHEMA_VERSION = 1


class CertificateError(Exception):
    """Raised for a study that cannot be certified, or a certificate that cannot be read; the message says why."""


class ComputedOn(Config):
    """The software and hardware that can change the bits of a result, or explain that they changed."""

    cpu: str
    """The processor's name."""
    instruction_set: str | None
    """See `xtra.store.provenance.instruction_set`; null for jobs of releases that did not record it."""
    device: str
    """The GPU, or cpu."""
    python: str
    """The version of Python."""
    packages: dict[str, str | None]
    """The versions of packages."""
    git_commit: str | None
    """The commit of the code."""
    git_dirty: bool | None
    """Whether the code differed from that commit."""

    def differences(self, other: ComputedOn) -> list[str]:
        """Lists the parts of it that can give other bits, each as `torch 2.12 there, 2.13 here`; `self` is there.

        A commit is no such part: a job states which version of its stage made it.
        """
        pairs = {"device": (self.device, other.device), "Python": (self.python, other.python)}
        # Libraries choose their kernels by the processor, too: two with AVX-512 need not give the same bits.
        pairs["processor"] = (self.cpu, other.cpu)
        if self.instruction_set is not None:
            pairs["instruction set"] = (self.instruction_set, str(other.instruction_set))
        for name in sorted((self.packages.keys() | other.packages.keys()) - {"xtra-bench"}):
            pairs[name] = (str(self.packages.get(name)), str(other.packages.get(name)))
        return [f"{name} {there} there, {here} here" for name, (there, here) in pairs.items() if there != here]


class CertifiedJob(Config):
    """A job and what it left."""

    key: str
    """Its key."""
    status: str
    """complete or diverged."""
    seconds: float
    """Seconds that it took."""
    computed_on: int
    """Index into the certificate's `computed_on`."""
    files: dict[str, str]
    """The SHA-256 of every file that it left, by path."""
    dropped: tuple[str, ...]
    """Directories that were given up since, to free room."""
    job: dict[str, Any]
    """What it computes: stage, version, configuration, inputs, resources."""

    def to_job(self) -> Job:
        """Returns the job. Raises CertificateError if it is none, or its content does not match its key."""
        record = self.job
        try:
            inputs = {role: tuple(keys) for role, keys in record["inputs"].items()}
            resources, plugins = Resources(**record["resources"]), dict(record.get("plugins", {}))
            job = Job(record["stage"], record["version"], record["config"], inputs, resources, plugins)
            key = job.key
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise CertificateError(f"the certificate's job {self.key} was altered: it is no record of a job ({error})") from None
        if key != self.key:
            raise CertificateError(f"the certificate's job {self.key} was altered: what it computes has the key {key}")
        return job


class Certificate(Config):
    """The contents of `certificate.json`."""

    schema_version: int
    """Incremented when a field changes meaning."""
    files: dict[str, str]
    """The SHA-256 of every file in the study's directory, by name, but for `UNHASHED`."""
    computed_on: tuple[ComputedOn, ...]
    """Software and hardware that the jobs were computed on, each once."""
    unfinished: tuple[str, ...]
    """Jobs of cells that have no score, which have no result to certify."""
    jobs: tuple[CertifiedJob, ...]
    """Every job with a result, inputs before what reads them."""


def certify(study: Path, store: Store) -> Certificate:
    """Makes the certificate of a study from its rows and the store that they came from, and writes it beside them.

    Every byte in the store is read. Raises CertificateError, and StoreError for a result that was altered or lost since.
    """
    rows = _score_rows(study)
    finished, unfinished = _ancestry(store, rows, _probe_keys(study))
    environments: list[ComputedOn] = []
    jobs = []
    for job, manifest in finished:
        environment = computed_on(manifest.provenance)
        if environment not in environments:
            environments.append(environment)
        files = {name: record.sha256 for name, record in sorted(manifest.files.items())}
        place, dropped = environments.index(environment), tuple(sorted(manifest.dropped))
        jobs.append(
            CertifiedJob(
                key=job.key, status=manifest.status, seconds=manifest.seconds, computed_on=place,
                files=files, dropped=dropped, job=job.to_record(),
            )
        )  # fmt: skip
    certificate = Certificate(
        schema_version=SCHEMA_VERSION,
        files=hashes(study),
        computed_on=tuple(environments),
        unfinished=tuple(unfinished),
        jobs=tuple(jobs),
    )
    write_text_atomically(study / FILE_NAME, _text(certificate))
    return certificate


def read_certificate(study: Path) -> Certificate:
    """Reads a study's certificate. Raises CertificateError."""
    path = study / FILE_NAME
    try:
        record = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise CertificateError(f"{study} has no {FILE_NAME}; `xtra-bench certify` makes one where the results are") from None
    except OSError as error:
        raise CertificateError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise CertificateError(f"{path} is not JSON (cut short?)") from None
    if isinstance(record, dict) and record.get("schema_version") != SCHEMA_VERSION:
        raise CertificateError(f"{path}: schema_version {record.get('schema_version')!r}, this release reads {SCHEMA_VERSION}")
    try:
        certificate = Certificate.model_validate_json(json.dumps(record))
    except ValidationError as error:
        first = error.errors()[0]
        raise CertificateError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    for index, job in enumerate(certificate.jobs):
        if not 0 <= job.computed_on < len(certificate.computed_on):
            known = f"{len(certificate.computed_on)} in the list of that name, counted from 0"
            raise CertificateError(f"{path}: jobs.{index}.computed_on is {job.computed_on}, and there are {known}")
    return certificate


def hashes(study: Path) -> dict[str, str]:
    """Returns the SHA-256 of every file of a study that a certificate answers for, by name. What lies in directories, such as a
    report's figures, is no part of it."""
    return {path.name: sha256(path) for path in sorted(study.iterdir()) if path.is_file() and path.name not in UNHASHED}


def computed_on(provenance: Mapping[str, Any]) -> ComputedOn:
    """Returns the parts of a manifest's provenance that a certificate keeps."""
    machine = provenance["hardware"]
    return ComputedOn(
        cpu=machine["cpu"],
        instruction_set=machine.get("instruction_set"),
        device=machine["device"],
        python=provenance["python"],
        packages=dict(provenance["packages"]),
        git_commit=provenance["git_commit"],
        git_dirty=provenance["git_dirty"],
    )


def certified_scores(study: Path) -> dict[str, float]:
    """Returns the scores of a study's rows by the key of the evaluation. Raises CertificateError."""
    return {row["evaluate_key"]: row["score"] for row in _score_rows(study) if row["score"] is not None}


def _score_rows(study: Path) -> list[dict[str, Any]]:
    try:
        rows = read_csv(SCORES, study / SCORES.file_name)
    except OSError:
        raise CertificateError(f"{study} is no study: it has no {SCORES.file_name}, as the directory of a run has") from None
    except ValueError as error:
        raise CertificateError(f"{study / SCORES.file_name}: {error}") from None
    if not rows or any(row["evaluate_key"] is None for row in rows):
        raise CertificateError(f"{study / SCORES.file_name} names no jobs that it came from")
    return rows


def _probe_keys(study: Path) -> list[str]:
    """Returns the jobs that measured the study's probes, which its plan alone names. Raises CertificateError."""
    path = study / PROBES.file_name
    try:
        measured = {tuple(row[column] for column in CELL_KEY) for row in (read_csv(PROBES, path) if path.exists() else ())}
        cells = read_cells(study) if measured else ()
    except FileNotFoundError:
        remedy = f"put the {PLAN_FILE} of its run beside it: that names the jobs which measured them"
        raise CertificateError(f"{path} has rows, and there is no {PLAN_FILE}; {remedy}") from None
    except (OSError, ValueError) as error:
        raise CertificateError(f"{path}, or {PLAN_FILE} beside it: {error}") from None
    planned = {tuple(getattr(cell, name) for name in CELL_KEY): cell.probe_key for cell in cells if cell.probe_key}
    if not measured <= planned.keys():
        raise CertificateError(f"{path} has rows of cells that {PLAN_FILE} beside it does not name")
    return [planned[one] for one in sorted(measured)]


def _ancestry(
    store: Store, rows: Sequence[Mapping[str, Any]], probe_keys: Sequence[str]
) -> tuple[list[tuple[Job, Manifest]], list[str]]:
    """Returns every job that the rows and the probes depend on, inputs first: those with a result, verified, and the keys of
    those without one."""
    finished: list[tuple[Job, Manifest]] = []
    unfinished: list[str] = []
    jobs: dict[str, Job] = {}
    named = [(key, row["status"] in ("complete", "diverged")) for row in rows for key in (row["train_key"], row["evaluate_key"])]
    for key, has_result in [*named, *((key, True) for key in probe_keys)]:
        try:
            jobs |= {job.key: job for job in _with_ancestors(store, key, jobs)} if key else {}
        except StoreError:
            if has_result:
                raise
            unfinished.append(key)
    required = {*(row["evaluate_key"] for row in rows if row["status"] == "complete"), *probe_keys}
    for key, job in jobs.items():
        manifest = store.verify(key)
        if manifest is not None:
            finished.append((job, manifest))
        elif key in required:
            place = PROBES.file_name if key in probe_keys else SCORES.file_name
            raise CertificateError(f"{key} has a score in {place}, and no result in {store.root}")
        else:
            unfinished.append(key)
    return finished, list(dict.fromkeys(unfinished))


def _with_ancestors(store: Store, key: str, known: Mapping[str, Job]) -> Iterator[Job]:
    if key not in known:
        job = store.job(key)
        for needed in job.input_keys:
            yield from _with_ancestors(store, needed, known)
        yield job


def _text(certificate: Certificate) -> str:
    """Writes JSON with a line for each job, so that a change of one is a change of one line."""
    record = certificate.model_dump(mode="json")
    jobs = ",\n".join(canonical_json(job) for job in record.pop("jobs"))
    return f'{json.dumps(record, indent=1, sort_keys=True)[:-2]},\n "jobs": [\n{jobs}\n]}}\n'


def altered_files(study: Path, certificate: Certificate) -> Iterable[str]:
    """Returns a sentence for each of the study's files that is not as it was certified."""
    here = hashes(study)
    for name, digest in certificate.files.items():
        if name not in here:
            yield f"{name} is missing"
        elif here[name] != digest:
            yield f"{name} was altered since"
