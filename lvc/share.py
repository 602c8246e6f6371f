"""Work that processes on one or several hosts share out among themselves through a folder that all of them see.

The folder holds, for every piece of work, at most one claim (a file that is created by whoever takes the piece, and
touched as long as that process lives) and one result (a file that appears whole, by renaming). Nothing is ever wrong
with a result that was made twice: it is the same.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from lvc.errors import LvcError, OutputError
from lvc.locks import is_ours

BEAT_SECONDS = 5.0
"""How often a process shows that it lives."""
DEAD_SECONDS = 60.0
"""Time after which a claim that nobody touches counts for nothing."""
START_SECONDS = 60.0
"""How long the others wait for the first process to open the folder."""
POLL_SECONDS = 0.2
_OPEN = "open"
_LEADER = "leader"
"""A file that process 0 locks: there is one."""
_KEPT_NAME = 200
"""Bytes of a file name that the folder's name may keep."""


@dataclass(frozen=True)
class Share:
    """The place of this process among those that work together.

    Attributes:
        rank: 0 for the one that puts everything together.
        size: how many they are.
    """

    rank: int
    size: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Share | None":
        """As ``torchrun`` and its like set it in ``RANK`` and ``WORLD_SIZE``; None for a process on its own.

        Raises:
            LvcError: they make no sense.
        """
        try:
            size, rank = int(environment.get("WORLD_SIZE", "1")), int(environment.get("RANK", "0"))
        except ValueError:
            size, rank = 0, 0
        if not 0 <= rank < size:
            raise LvcError("RANK and WORLD_SIZE in the environment make no sense: unset them to work alone")
        return cls(rank, size) if size > 1 else None


def parts_folder(target: str | os.PathLike[str], key: str) -> Path:
    """The folder beside a file for the processes that work at it.

    Args:
        key: names their work.
    """
    place = Path(os.path.realpath(target))
    stem = os.fsencode(place.stem)[:_KEPT_NAME].decode("utf-8", "ignore")
    return place.with_name(f".{stem}.{key}.parts")


class SharedFolder:
    """The folder, as one of the processes sees it. A context: outside of it the process shows no sign of life.

    Process 0 makes the folder, or takes that of an interrupted run with all its results, and removes it in the end;
    only where process 0 is killed or interrupted does it stay.

    Args:
        path: where the folder is.
        share: which process this is.

    Raises:
        OutputError: the folder cannot be made, or another process 0 has it.
    """

    def __init__(self, path: Path, share: Share) -> None:
        self.path, self._share = path, share
        self._mine: Path | None = None
        self._lock: BinaryIO | None = None
        self._seen: dict[int, tuple[int, float]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        if self.is_leader:
            try:
                self.path.mkdir(exist_ok=True)
                self._lock = (self.path / _LEADER).open("ab")
                if not is_ours(self._lock):
                    raise OutputError(f"{self.path}: another process 0 works at the same encode")
                for claim in self.path.glob("*.claim"):
                    claim.unlink(missing_ok=True)
                (self.path / _OPEN).touch()
            except OSError as error:
                self._unlock()
                raise OutputError(f"{self.path}: {error.strerror}") from error
            except OutputError:
                self._unlock()
                raise
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._mine is not None:  # it was interrupted: others need not wait
            with contextlib.suppress(OSError):
                self._mine.unlink(missing_ok=True)
        if os.name == "nt":
            self._unlock()  # Windows removes no open file, and has no locks
        if self.is_leader and (kind is None or issubclass(kind, LvcError)):
            import shutil

            with contextlib.suppress(OSError):
                (self.path / _OPEN).unlink(missing_ok=True)
            shutil.rmtree(self.path, ignore_errors=True)
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()

    @property
    def is_leader(self) -> bool:
        """Whether this is process 0."""
        return self._share.rank == 0

    def is_open(self) -> bool:
        """Whether process 0 has opened the folder; waits for it. False too where all is done already."""
        until = time.monotonic() + START_SECONDS
        while not (self.path / _OPEN).exists():
            if time.monotonic() > until:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def claim(self, number: int) -> bool:
        """Take a piece of work, unless somebody has.

        Raises:
            FileNotFoundError: the folder is gone, that is, all is done.
        """
        path = self._claim(number)
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            return False
        with os.fdopen(handle, "w") as file:
            file.write(f"rank {self._share.rank}, process {os.getpid()} on {_host()}\n")
        self._mine = path
        return True

    def finish(self, number: int, write: Callable[[Path], None]) -> None:
        """Leave the result of a piece that was taken.

        Args:
            write: writes it to a file.

        Raises:
            FileNotFoundError: the folder is gone.
        """
        temporary = self.path / f"{number}.{_host()}.{os.getpid()}"
        write(temporary)
        temporary.replace(self.result(number))
        self._mine = None

    def result(self, number: int) -> Path:
        """Where the result of a piece is, or will be."""
        return self.path / f"{number}.lvc"

    def is_given_up(self, number: int) -> bool:
        """Whether nobody works at a piece that has no result; its claim is removed then.

        By this host's clock alone: a claim is dead when it was not touched while this process looked on for so long.
        """
        try:
            touched = self._claim(number).stat().st_mtime_ns
        except FileNotFoundError:
            return not self.result(number).exists()
        before, since = self._seen.get(number, (0, 0.0))
        if touched != before:
            self._seen[number] = touched, time.monotonic()
        elif time.monotonic() - since > DEAD_SECONDS:
            self.forget(number)
            return True
        return False

    def forget(self, number: int) -> None:
        """Let a piece be done anew."""
        self._seen.pop(number, None)
        self.result(number).unlink(missing_ok=True)
        self._claim(number).unlink(missing_ok=True)

    def _claim(self, number: int) -> Path:
        return self.path / f"{number}.claim"

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            if (mine := self._mine) is not None:
                with contextlib.suppress(OSError):
                    os.utime(mine)


def _host() -> str:
    """Name of this host."""
    import socket

    return socket.gethostname()
