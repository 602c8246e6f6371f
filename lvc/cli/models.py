"""``lvc models``."""

import json
from collections.abc import Iterator
from dataclasses import asdict

import click

from lvc.catalogue import ModelInfo, installed
from lvc.cli.events import Events
from lvc.cli.options import json_option
from lvc.cli.progress import ProgressLine


@click.command()
@json_option
def models(events: Events) -> None:
    """List the installed models: name, identity, size, cost per pixel, and what they say of their training."""
    line = ProgressLine("reading", quiet=events.quiet, events=events)
    found = installed()
    if events.wanted:
        line.result("models", {"models": [as_fields(model) for model in found]})
        return
    for model in found:
        for text in describe(model):
            click.echo(text)


def as_fields(model: ModelInfo) -> dict[str, object]:
    """A model as JSON values."""
    return {
        "name": model.name,
        "id": model.id.hex(),
        "path": str(model.path),
        "bytes": model.bytes,
        "size": model.size,
        "macs": None if model.macs is None else asdict(model.macs),
        "card": model.card,
    }


def describe(model: ModelInfo) -> Iterator[str]:
    """A model as lines for people."""
    yield f"{model.name}: size {model.size}, {model.bytes} bytes"
    yield f"  identity   {model.id.hex()}"
    yield f"  file       {model.path}"
    if (macs := model.macs) is not None:
        decoding = f"{macs.decode_intra / 1e3:.3g} and {macs.decode_predicted / 1e3:.3g} to decode"
        encoding = f"{macs.encode_intra / 1e3:.3g} and {macs.encode_predicted / 1e3:.3g} to encode (preset fast)"
        yield f"  cost       kMAC per pixel of intra and predicted pictures: {decoding}, {encoding}"
    for key, value in model.card.items():
        yield f"  {key:10} {value if isinstance(value, str) else json.dumps(value)}"
