"""Writes a man page for lvc and each of its commands, from what click knows of them.

python scripts/make_man_pages.py share/man/man1
"""

import argparse
from pathlib import Path

import click

from lvc import __version__
from lvc.cli import main


def escaped(text: str) -> str:
    """Text as troff wants it."""
    lines = text.replace("\\", "\\e").replace("-", "\\-").splitlines()
    return "\n".join("\\&" + line if line.startswith((".", "'")) else line for line in lines)


def page(command: click.Command, name: str) -> str:
    """One man page."""
    context = click.Context(command, info_name=name)
    summary, _, rest = (command.help or "").partition("\n")
    pieces = command.collect_usage_pieces(context)
    out = [
        f'.TH "{name.upper().replace(" ", "-")}" 1 "" "lvc {__version__}" "User Commands"',
        ".SH NAME",
        escaped(f"{name.replace(' ', '-')} - {summary.strip()}"),
        ".SH SYNOPSIS",
        f".B {name}\n{escaped(' '.join(pieces))}",
        ".SH DESCRIPTION",
        escaped(summary.strip()),
        *(".PP\n" + escaped(" ".join(part.split())) for part in rest.split("\n\n") if part.strip()),
        ".SH OPTIONS",
    ]
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            out.append(f".TP\n\\fB{escaped(record[0])}\\fR\n{escaped(record[1])}")
    if isinstance(command, click.Group):
        out.append(".SH COMMANDS")
        for other in command.list_commands(context):
            found = command.get_command(context, other)
            if found is not None:
                out.append(f".TP\n\\fB{name}\\-{other}\\fR(1)\n{escaped(found.get_short_help_str(100))}")
    if command.epilog:
        out += [".SH NOTES", ".nf", escaped(command.epilog.replace("\b", "").strip()), ".fi"]
    return "\n".join(out) + "\n"


def write_pages(folder: Path) -> list[Path]:
    """Write all pages; which ones."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = {"lvc": main, **{f"lvc {name}": command for name, command in main.commands.items()}}
    written = []
    for name, command in pages.items():
        path = folder / f"{name.replace(' ', '-')}.1"
        path.write_text(page(command, name), encoding="utf-8")
        written.append(path)
    return written


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    for path in write_pages(parser.parse_args().folder):
        print(path)
