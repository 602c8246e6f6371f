"""``lvc info``."""

from collections.abc import Iterator

import click

from lvc import api
from lvc.catalogue import name_of
from lvc.cli.events import Events
from lvc.cli.options import FILE, json_option
from lvc.cli.progress import ProgressLine, bit_rate, duration
from lvc.summary import Summary

SHOWN_GOPS = 20
"""Groups that are listed unless all are asked for."""

_RANGES = ("unspecified", "limited", "full")


@click.command()
@click.argument("source", metavar="FILE", type=FILE)
@click.option("--gops", "all_gops", is_flag=True, help=f"List all groups of pictures, not only the first {SHOWN_GOPS}.")
@json_option
def info(source: str, all_gops: bool, events: Events) -> None:
    """Show what a .lvc file holds, without decoding it.

    FILE may be - for standard input. Header, model, groups of pictures, bytes by part, and whether it is damaged or
    truncated: these are told, not failed for; exit status 0 says that the header is intact.
    """
    line = ProgressLine("reading", quiet=events.quiet, events=events)
    summary = api.inspect(source)
    if events.wanted:
        fields = {"input": source, "model": name_of(summary.header.model_id), **summary.as_json()}
        line.result("info", fields)
    else:
        for text in describe(source, summary, len(summary.gops) if all_gops else SHOWN_GOPS):
            click.echo(text)


def describe(name: str, summary: Summary, gops: int) -> Iterator[str]:
    """The summary as lines for people, with at most so many groups of pictures."""
    header, video = summary.header, summary.header.info
    rate = f", {float(video.frame_rate):.6g} frames/s" if video.frame_rate else ""
    played = f", {duration(float(summary.seconds))}" if summary.seconds else ""
    bits = f", {bit_rate(summary.bits_per_second)}" if summary.bits_per_second is not None else ""
    state = "truncated" if summary.truncated else "damaged" if summary.damage else "complete"
    yield f"{name}: {state}"
    size = f"{video.width}x{video.height}, {video.bit_depth} bit"
    yield f"  video      {size}, 4:2:0{rate}, time base {video.time_base} s"
    colour = video.colour
    yield (
        f"  colour     primaries {colour.primaries}, transfer {colour.transfer}, matrix {colour.matrix}, "
        f"range {_RANGES[colour.range]}, chroma location {colour.chroma_location}"
    )
    if video.sample_aspect not in (0, 1) or video.rotation:
        yield f"  shown      sample aspect {video.sample_aspect}, turned by {video.rotation} degrees"
    yield f"  model      {name_of(header.model_id) or 'not installed'}, {header.model_id.hex()}"
    yield f"  settings   quality {header.quality}, key interval {header.keyint}"
    yield f"  content    {summary.frames} frames ({summary.intra_frames} intra){played}, {summary.bytes} bytes{bits}"
    for part, count in summary.parts.items():
        yield f"  {part:10} {count:>12} bytes {100 * count / summary.bytes:6.2f} %"
    if summary.gops:
        yield "  groups       frame        byte        size  frames  quality"
    for gop in summary.gops[:gops]:
        low, high = gop.qualities
        quality = str(low) if low == high else f"{low}-{high}"
        note = "  damaged" if gop.damaged else ""
        yield f"  {gop.first_frame:>16} {gop.position:>11} {gop.size:>11} {gop.frames:>7}  {quality:>7}{note}"
    if len(summary.gops) > gops:
        yield f"  ... and {len(summary.gops) - gops} more groups (--gops lists all)"
    for sentence in summary.damage:
        yield f"  damage     {sentence}"
