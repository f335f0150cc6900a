"""Arrays in one file: NumPy reads them, and the bytes are the same whatever release of Python wrote them."""

import hashlib
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from xtra.replay.npz import write_npz

ARRAYS = {"first": np.arange(6, dtype=np.int64).reshape(2, 3), "second": np.array([0.5, -1.0], np.float32)}
DIGEST = "2d0c5fae2c80932c56fc17642c64fc028168d77f8aaf7a28d0511f649066cc7c"


def digest(directory: Path) -> str:
    write_npz(directory / "arrays.npz", ARRAYS)
    return hashlib.sha256((directory / "arrays.npz").read_bytes()).hexdigest()


def header_before_3_11_4(original: Callable[..., bytes]) -> Callable[..., bytes]:
    """Python 3.11.2 leaves the version at 2.0 and repeats the sizes that the ZIP64 field holds."""

    def header(info: zipfile.ZipInfo, zip64: bool | None = None) -> bytes:
        create, extract = info.create_version, info.extract_version
        made = bytearray(original(info, zip64))
        info.create_version, info.extract_version = create, extract
        struct.pack_into("<H", made, 4, extract)
        struct.pack_into("<LL", made, 18, info.compress_size, info.file_size)
        return bytes(made)

    return header


def test_the_bytes_are_those_of_every_python(tmp_path: Path) -> None:
    assert digest(tmp_path) == DIGEST


def test_the_bytes_do_not_follow_how_zipfile_writes_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile.ZipInfo, "FileHeader", header_before_3_11_4(zipfile.ZipInfo.FileHeader))
    np.savez(tmp_path / "savez.npz", **ARRAYS)
    assert hashlib.sha256((tmp_path / "savez.npz").read_bytes()).hexdigest() != DIGEST
    assert digest(tmp_path) == DIGEST


@pytest.mark.skipif(sys.version_info < (3, 11, 4), reason="zipfile wrote other headers then")
def test_the_bytes_are_those_of_numpys_savez(tmp_path: Path) -> None:
    np.savez(tmp_path / "savez.npz", **ARRAYS)
    assert hashlib.sha256((tmp_path / "savez.npz").read_bytes()).hexdigest() == digest(tmp_path)


@given(st.dictionaries(st.sampled_from("abc"), arrays_of.arrays(np.float32, arrays_of.array_shapes(min_side=0), unique=False)))
def test_numpy_reads_what_was_written(tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, np.ndarray]) -> None:
    path = tmp_path_factory.mktemp("npz") / "arrays.npz"
    write_npz(path, arrays)
    with np.load(path) as file:
        assert list(file) == list(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(file[name], array)
