"""AAC in transport streams (ADTS, ISO/IEC 14496-3 annex 1.A) is described in its packets only: this reads them."""

_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_LOW_COMPLEXITY = 2
_HEADER_BYTES = 7


def audio_specific_config(packet: bytes | None, rate: int, channels: int) -> bytes:
    """The AudioSpecificConfig of an AAC stream (14496-3, 1.6.2.1), which other containers want.

    Args:
        packet: the first packet, with its ADTS header; None where none has come yet.
        rate, channels: what the stream is said to have; they count where there is no ADTS header.
    """
    kind = _LOW_COMPLEXITY
    index = _RATES.index(rate) if rate in _RATES else _RATES.index(48000)
    layout = channels if 0 < channels < 7 else 7
    if packet is not None and len(packet) >= _HEADER_BYTES and packet[0] == 0xFF and packet[1] & 0xF0 == 0xF0:
        kind = (packet[2] >> 6) + 1
        index = packet[2] >> 2 & 15
        layout = (packet[2] & 1) << 2 | packet[3] >> 6
    return (kind << 11 | index << 7 | layout << 3).to_bytes(2, "big")
