#!/usr/bin/env python3
"""Write measured figures into a model file's card, so that ``lvc models`` shows them. This gives it a new identity.

lvc bench ../shared/data/val -c lvc:model=new.lvcm -c x264 -c x265 -o report
python scripts/publish_model.py new.lvcm report models/lite.lvcm
"""

import json
import struct
from pathlib import Path

import click

from lvc.bench.codecs import parse_codec
from lvc.bench.results import Results
from lvc.bench.summary import MEASURES, Summary
from lvc.catalogue import MAGIC, VERSION, description_of
from lvc.output import write_file

SHOWN = ("psnr", "ms_ssim_db")


def figures(report: Path, anchor: str, codec: str) -> list[str]:
    """Mean BD-rates of a codec against an anchor, a sentence per measure."""
    rows = [row for row in Results(report).rows.values() if "error" not in row and row["codec"] in (anchor, codec)]
    if codec not in {row["codec"] for row in rows}:
        raise click.ClickException(f"{report} has no points of {codec!r}")
    if len({json.dumps(row["conditions"], sort_keys=True) for row in rows}) > 1:
        raise click.ClickException(f"{report} has points under several conditions: give a folder of one run")
    summary = Summary(sorted(rows, key=lambda row: (row["clip"], row["codec"], row["bpp"])), anchor)
    sentences = []
    for measure in SHOWN:
        mean = summary.mean_rate_difference(codec, measure) if measure in summary.measures else None
        if mean is not None:
            clips = f"{mean.clips} clips of {rows[0]['conditions']['frames']} frames"
            sentences.append(f"{mean.value:+.1f} % BD-rate in {MEASURES[measure][0]} against {anchor}, {clips}")
    return sentences


@click.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("report", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("output", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--codec", help="Its name in the report; as in the example where it is left out.")
@click.option("--anchor", "anchors", multiple=True, default=("x264 medium", "x265 medium"), show_default=True)
@click.option("--data", help="What it was trained on, in a sentence.")
def main(
    model: Path, report: Path, output: Path, codec: str | None, anchors: tuple[str, ...], data: str | None
) -> None:
    name = codec or parse_codec(f"lvc:model={model}").name
    content = model.read_bytes()
    description, base = description_of(content, model.stem)
    card = description["card"]
    card["figures"] = [sentence for anchor in anchors for sentence in figures(report, anchor, name)]
    if data:
        card["data"] = data
    text = json.dumps(description).encode()
    write_file(output, MAGIC + struct.pack("<BI", VERSION, len(text)) + text + content[base:])
    click.echo("\n".join(card["figures"]))


if __name__ == "__main__":
    main()
