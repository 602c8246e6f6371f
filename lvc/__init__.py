"""A learned video codec whose decoder is exact: the same file gives the same pictures on every machine.

``lvc.encode``, ``lvc.decode`` and ``lvc.open`` are the library; ``lvc --help`` is the command line. Importing this
package is cheap: torch is loaded only when something is coded.
"""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lvc.errors import (
    FormatError,
    InputError,
    LimitError,
    LvcError,
    MismatchError,
    ModelError,
    OutOfMemoryError,
    OutputError,
    TruncatedError,
)

if TYPE_CHECKING:
    from lvc.api import decode, encode, open  # noqa: A004 -- lvc.open is meant to be written with its module

__version__ = "0.1.0"

SPIN_COUNT = "10000"
"""Rounds for which an idle thread of libgomp keeps its core busy before it sleeps. With its default of 300,000, threads
wait for each other where something else takes a core: beside three other processes two cores decoded 0.2 frames/s, 2.2
with this value; on idle cores, 13 with either."""
if "torch" not in sys.modules:  # libgomp reads it once, when torch is loaded
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)

__all__ = [
    "FormatError",
    "InputError",
    "LimitError",
    "LvcError",
    "MismatchError",
    "ModelError",
    "OutOfMemoryError",
    "OutputError",
    "TruncatedError",
    "__version__",
    "decode",
    "encode",
    "open",
]


def __getattr__(name: str) -> Any:
    if name in {"decode", "encode", "open"}:
        return getattr(import_module("lvc.api"), name)
    raise AttributeError(f"module 'lvc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
