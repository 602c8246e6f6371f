"""Pictures of `.lvc` files, read as `lvc/FORMAT.md` says, from that page alone and without the package.

Slow and short: it shows that the page is enough, and what it means.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tests.plain_files import PlainFrame, PlainHeader, PlainModelFile, read_file
from tests.plain_format import Ints, PlainDecoder, PlainTables
from tests.plain_group import Coded, PlainGroup, PlainPicture
from tests.plain_latents import PlainBlocks, PlainLatents, order
from tests.plain_levels import PlainLevels, plain_moved_levels
from tests.plain_networks import PlainNetworks
from tests.plain_prediction import PlainDecoded, from_nothing, predicted
from tests.plain_reconstruction import check_of, filtered, output, reconstructed


class PlainShown(NamedTuple):
    """A picture of a file: its samples, whether its checksum agrees, and how it was coded (the part before the quality
    map, how many planes were sent as flat, chroma drop, number of the loop filters).
    """

    samples: list[Ints]
    agrees: bool
    frame: PlainFrame
    picture: PlainPicture
    flat: int
    chroma_drop: int
    filters: int


class PlainFilters(PlainTables):
    """*Loop filter*: reads the number of the set."""

    def __init__(self) -> None:
        super().__init__([np.array([40, 20, 20, 20])] * 3)

    def read(self, coder: PlainDecoder, kind: int) -> int:
        self.coder = coder
        return self._symbols(kind, 1)[0]


class PlainPictures(PlainGroup):
    """Decodes the pictures of one group."""

    def __init__(
        self, model: PlainModelFile, networks: PlainNetworks, header: PlainHeader, frames: list[PlainFrame]
    ) -> None:
        arrays = model.arrays

        def counts(name: str, number: int) -> list[Ints]:
            return [np.clip(arrays[f"{name}{index}"], 1, 1 << 20) for index in range(number)]

        motion = [counts("motion", 37), counts("between", 37)]
        super().__init__(motion, counts("skip", 56), counts("sizes", 22), [frame.kind for frame in frames])
        self._model, self._networks, self._header, self._frames = model, networks, header, frames
        self._rows, self._cols = 2 * -(-header.height // 32), 2 * -(-header.width // 32)
        self._levels, self._filters = PlainLevels(), PlainFilters()
        self._latents = {kind: PlainLatents(model, networks, kind) for kind in ("intra", "inter")}
        self._nothing = from_nothing(arrays["start_state"], self._rows, self._cols)

    @property
    def tables(self) -> list[PlainTables]:
        """See there."""
        return [*super().tables, self._levels, *self._latents.values(), self._filters]

    def decode(self) -> list[PlainShown]:
        """*Coding order*: the pictures in display order."""
        done: dict[int, PlainDecoded] = {}
        shown: dict[int, PlainShown] = {}
        for level in self.levels():
            for coded in level:
                coder = PlainDecoder(self._frames[coded.position].payload)
                picture = self._picture(coded, coder, self._rows, self._cols)
                found = self._decoded(coded, picture, coder, [done[at] for at in coded.references])
                done[coded.position] = found
                shown[coded.position] = self._shown(coded, picture, found)
        return [shown[position] for position in range(len(self._frames))]

    def _shown(self, coded: Coded, picture: PlainPicture, found: PlainDecoded) -> PlainShown:
        header, frame = self._header, self._frames[coded.position]
        samples = output(found.planes, header.width, header.height, header.bit_depth)
        agrees = check_of(samples, header.bit_depth) == frame.check
        return PlainShown(samples, agrees, frame, picture, len(self.flat), self.chroma_drop, self._number)

    def _decoded(
        self, coded: Coded, picture: PlainPicture, coder: PlainDecoder, references: list[PlainDecoded]
    ) -> PlainDecoded:
        """*Frame payload* from the quality map on, of a picture of which all before has been read."""
        frame, nothing = self._frames[coded.position], self._nothing
        self._number = 0
        if len(self.flat) == 3:
            planes = [np.full_like(plane, self.flat[2]) for plane in nothing.planes[:1]]
            return PlainDecoded([*planes, *self._flat_chroma()], nothing.state, nothing.magnitudes, None)
        levels = self._read_levels(frame, picture, coder, references)
        kind = "inter" if references else "intra"
        blocks = self._blocks(frame.quality, picture, levels)
        prediction = predicted(picture, references, nothing)
        c = g = None
        if references:
            c, g = self._networks.context(
                prediction.planes, prediction.apart, prediction.state, prediction.magnitudes, blocks.quality
            )
        latents = self._latents[kind]
        hyper = latents.read_hyper(coder, blocks.skipped)
        z = latents.read(coder, g, hyper, blocks, bool(self.flat))
        self._number = self._filters.read(coder, len(references))
        found = reconstructed(self._model, self._networks, kind, prediction, c, z, blocks)
        luma, *chroma = found.planes
        if self._number:
            luma = filtered(luma, blocks.skipped, self._model.arrays["filters"][self._number - 1])
        if self.flat:
            chroma = self._flat_chroma()
        return PlainDecoded([luma, *chroma], found.state, found.magnitudes, levels)

    def _flat_chroma(self) -> list[Ints]:
        """*Flat pictures*: chroma where it is flat."""
        return [np.full_like(self._nothing.planes[1], value) for value in self.flat[:2]]

    def _read_levels(
        self, frame: PlainFrame, picture: PlainPicture, coder: PlainDecoder, references: list[PlainDecoded]
    ) -> list[list[int]] | None:
        """*Quality map*."""
        if not frame.has_map:
            return None
        expected = None
        if picture.modes is not None:
            fields = [field.tolist() for field in picture.fields]
            expected = plain_moved_levels([each.levels for each in references], fields, picture.modes.tolist())
        levels = self._levels.read(coder, picture.flags.tolist(), expected)
        if any(abs(level) > 8 for row in levels for level in row):
            raise ValueError("a level of the quality map beyond 8")
        return levels

    def _blocks(self, quality: int, picture: PlainPicture, levels: list[list[int]] | None) -> PlainBlocks:
        """What holds for each 16x16 block; *Latents*, step 4, says which steps."""
        qualities = np.full((self._rows, self._cols), quality)
        if levels is not None:
            qualities = np.clip(quality + 4 * np.array(levels), 1, 100)
        steps = self._model.arrays["steps"][0 if picture.modes is None else 1]
        lower = np.maximum(qualities - self.chroma_drop, 1)
        of_luma, of_chroma = (steps[each - 1].transpose(2, 0, 1) for each in (qualities, lower))
        found = np.where(order()[1][:, None, None], of_chroma, of_luma)
        return PlainBlocks(picture.flags.astype(bool), picture.sizes, qualities, found)


def plain_pictures(data: bytes, model: PlainModelFile) -> Iterator[PlainShown]:
    """Each picture of a file, in display order.

    Raises:
        ValueError: the file is damaged or needs another model.
    """
    header, groups = read_file(data)
    if header.model != model.identity:
        raise ValueError("another model")
    networks = PlainNetworks(model)
    for frames in groups:
        yield from PlainPictures(model, networks, header, frames).decode()
