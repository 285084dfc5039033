"""The data directory: made for its owner only, looked at, and claimed by one server for each plane.

Imports little, as the supervisor loads it for as long as the server runs. Of its files only the locks are handled here.
"""

import fcntl
import os
from pathlib import Path

from tieline.core.errors import StartError
from tieline.settings.model import Plane


def problem(path: Path) -> str | None:
    """Why no server could keep its files in ``path``, and what to do, as one line; None where it can or can make it."""
    try:
        there = path.is_dir()
        nearest = path if there else next(parent for parent in path.parents if parent.exists())
    except OSError as error:
        return f"The data directory {path} cannot be looked at: {error.strerror}. Run this as the user who owns it."
    if not there and (not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK)):
        return f"The data directory {path} cannot be made in {nearest}: choose another with --data-dir."
    if not os.access(nearest, os.R_OK | os.W_OK | os.X_OK):
        return f"The data directory {path} may not be written by this user: chown it, or choose --data-dir."
    return None


def make(path: Path) -> None:
    """Make the directory (0700) where it is not there. Raises StartError where it cannot be made or written."""
    found = problem(path)
    if found is not None:
        raise StartError(found)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StartError(
            f"The data directory {path} cannot be made: {error.strerror}. Choose one with --data-dir."
        ) from error


def claim(path: Path, only: Plane | None) -> list[int]:
    """Lock the directory for the planes that are to run; returns the descriptors that hold the locks.

    Raises StartError where another server has it. A data plane alone neither makes nor needs a directory.
    """
    if only == "data" and problem(path) is not None:
        return []
    if only != "data":
        make(path)
    planes: tuple[Plane, ...] = ("control", "data") if only is None else (only,)
    return [_lock(path / f"{plane}.lock", path) for plane in planes if path.is_dir()]


def _lock(file: Path, directory: Path) -> int:
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartError(f"{file} cannot be opened: {error.strerror}. Check the data directory.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise StartError(
            f"Another server (process {holder}) uses the data directory {directory}: stop it, "
            "or give this one a --data-dir of its own."
        ) from None
    except OSError:
        return descriptor  # a file system without locks
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor
