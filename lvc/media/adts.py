"""AAC in transport streams says what it is in a header of each packet (ADTS, ISO/IEC 14496-3 annex 1.A).

Other containers want that once, as AudioSpecificConfig (1.6.2.1), and packets without headers.
"""

from typing import Any

import av

_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_LOW_COMPLEXITY = 2
_SYNC = 0xFFF0
"""With these bits set a header begins."""
_CONFIG = "new_extradata"


class RawAac:
    """Takes the headers off the packets of a stream.

    Args:
        stream: of AAC that does not say elsewhere what it is.

    Attributes:
        config: the AudioSpecificConfig; empty until a packet has come.
    """

    def __init__(self, stream: Any) -> None:
        self._filter = av.BitStreamFilterContext("aac_adtstoasc", stream)
        self.config = b""

    def push(self, packet: Any) -> list[Any]:
        """Takes a packet, which is empty afterwards, and gives it without its header, where it has one.

        Raises:
            av.FFmpegError: its header is damaged.
        """
        if int.from_bytes(bytes(packet)[:2], "big") & _SYNC != _SYNC:
            return [packet]
        packets: list[Any] = self._filter.filter(packet)
        for raw in packets:
            if not self.config and raw.has_sidedata(_CONFIG):
                self.config = bytes(raw.get_sidedata(_CONFIG))
        return packets


def guessed_config(stream: Any) -> bytes:
    """The AudioSpecificConfig of a stream of which no packet has come yet, by what it is said to be."""
    rate, channels = stream.codec_context.sample_rate, stream.codec_context.channels
    index = _RATES.index(rate) if rate in _RATES else _RATES.index(48000)
    layout = channels if 0 < channels < 7 else 7
    return (_LOW_COMPLEXITY << 11 | index << 7 | layout << 3).to_bytes(2, "big")
