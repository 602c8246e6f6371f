"""A learned video codec whose decoder is exact: the same file gives the same pictures on every machine.

``lvc.encode``, ``lvc.decode`` and ``lvc.open`` are the library; ``lvc --help`` is the command line. Importing this
package is cheap: torch is loaded only when something is coded.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lvc.errors import (
    FormatError,
    InputError,
    LimitError,
    LvcError,
    MismatchError,
    ModelError,
    OutputError,
    TruncatedError,
)

if TYPE_CHECKING:
    from lvc.api import decode, encode, open  # noqa: A004 -- lvc.open is meant to be written with its module

__version__ = "0.1.0"

__all__ = [
    "FormatError",
    "InputError",
    "LimitError",
    "LvcError",
    "MismatchError",
    "ModelError",
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
