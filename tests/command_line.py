"""Calls of the command line, in this process and in one of its own."""

import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from click.testing import CliRunner, Result

from lvc.cli import main

COMMANDS = ["bench", "cat", "completion", "cut", "decode", "encode", "info", "models", "train", "verify"]


@dataclass
class Call:
    """One of a function of the library."""

    arguments: tuple[Any, ...]
    options: dict[str, Any]


def run(*arguments: object, stdin: bytes | None = None) -> Result:
    """A command in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)


def start(*arguments: object, **options: Any) -> subprocess.Popen[bytes]:
    """A command that runs beside the test."""
    return subprocess.Popen([sys.executable, "-m", "lvc", *map(str, arguments)], stderr=subprocess.PIPE, **options)
