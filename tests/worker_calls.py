"""What the tests of ``lvc.workers`` let its processes do; imports nothing heavy."""

import os
import time
from pathlib import Path
from typing import Any

from lvc.errors import FormatError


def double(value: int, report: Any) -> int:
    report(value)
    return 2 * value


def slow(value: int, report: Any) -> int:
    time.sleep(0.3 if value == 0 else 0)
    return value


def die(marker: Path, times: int, report: Any) -> str:
    """Kill this process, but only the first so many times."""
    count = len(marker.read_bytes()) if marker.exists() else 0
    if count < times:
        marker.write_bytes(b"x" * (count + 1))
        os.kill(os.getpid(), 9)
    return f"alive after {count}"


def damaged(report: Any) -> None:
    print("nobody reads this")  # noqa: T201
    raise FormatError("damaged", 17)


def broken(report: Any) -> None:
    raise ZeroDivisionError


def forever(report: Any) -> None:
    report(os.getpid())
    time.sleep(1000)


def end_slowly(status: int, report: Any) -> None:
    os.closerange(3, 64)
    time.sleep(0.2)
    os._exit(status)


def too_large(message: str, report: Any) -> None:
    """Fail as PyTorch does, where there is a message, or as Python."""
    if message:
        raise RuntimeError(message)
    bytearray(1 << 62)


def limit(more: int, report: Any) -> None:
    """Let this process have so many bytes more than now."""
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more,) * 2)


def length(data: bytes, report: Any) -> int:
    return len(data)


def zeros(count: int, report: Any) -> bytes:
    return bytes(count)
