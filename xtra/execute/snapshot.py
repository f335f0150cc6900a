"""A copy of this code, made when jobs are submitted: what is edited in the checkout meanwhile does not reach queued jobs.

Content-addressed: the same code is copied once. Dependencies are not copied; they come from the environment as jobs find it.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Collection, Iterable, Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from xtra.protocol.scores import INSTALLED_TABLES, tables_directory
from xtra.store.files import json_text, sync_directory, sync_tree
from xtra.store.provenance import SNAPSHOT_RECORD, code_commit

PACKAGES = ("xtra", "xtra_analysis")

BOOTSTRAP = '''\
"""Runs `main` of the module named first on the code beside this file, ahead of any installed (or editable) copy."""
import sys
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path


class SnapshotFinder:
    root = str(Path(__file__).resolve().parent)

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return PathFinder.find_spec(name, path or [cls.root]) if name.partition(".")[0] in {packages} else None


sys.meta_path.insert(0, SnapshotFinder)
sys.exit(import_module(sys.argv.pop(1)).main())
'''


def take_snapshot(directory: Path, plugins: Collection[str] = ()) -> Path:
    """Copies the code to `directory/<digest>/` unless it is there. Returns the program that runs a module on the copy.

    plugins: the top-level modules of installed packages that the jobs run on; they are copied too.
    """
    packages = (*PACKAGES, *sorted(plugins))
    files = dict(_files(packages))
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        digest.update(f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    target = directory / digest.hexdigest()[:16]
    if not target.exists():
        temporary = directory / f".{secrets.token_hex(8)}.tmp"
        for name, path in files.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, temporary / name)
        commit, dirty = code_commit()
        (temporary / SNAPSHOT_RECORD).write_text(json_text({"git_commit": commit, "git_dirty": dirty}), encoding="utf-8")
        (temporary / "bootstrap.py").write_text(BOOTSTRAP.replace("{packages}", repr(packages)), encoding="utf-8")
        sync_tree(temporary)  # a directory that is there is taken for whole, after a power cut too
        _move(temporary, target)
        sync_directory(directory)
    return target / "bootstrap.py"


def _files(packages: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Yields every file of the packages by its path in the copy. Compiled modules of an editable install, and a checkout's tables
    of published scores, lie elsewhere than the rest."""
    for table in tables_directory().glob("*.csv"):
        yield f"xtra/protocol/{INSTALLED_TABLES}/{table.name}", table
    for package in packages:
        spec = find_spec(package)
        if spec is not None and spec.origin and not spec.submodule_search_locations:
            yield Path(spec.origin).name, Path(spec.origin)
        for root in (spec and spec.submodule_search_locations) or ():
            for path in Path(root).rglob("*"):
                if path.is_file() and "__pycache__" not in path.parts:
                    yield f"{package}/{path.relative_to(root).as_posix()}", path
    for installed in metadata.files("xtra-bench") or ():
        if installed.parts[0] in PACKAGES and installed.suffix in (".so", ".pyd"):
            yield installed.as_posix(), Path(str(installed.locate()))


def _move(temporary: Path, target: Path) -> None:
    try:
        temporary.rename(target)
    except OSError:
        if not target.exists():
            raise
        shutil.rmtree(temporary)  # another launcher was faster
