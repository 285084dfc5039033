"""Drawing a real PNG (ISO/IEC 15948) from a prompt: eight by eight mirrored tiles in colours the prompt decides."""

import struct
import zlib

from tieline.sandbox.words import digest

_TILES = 8


def draw(prompt: str, width: int, height: int) -> bytes:
    """A PNG of ``width`` by ``height`` pixels, the same for the same prompt."""
    source = digest("picture", prompt)
    palette = bytes(source[at] | 0x20 for at in range(12))
    rows = []
    for row in range(_TILES):
        half = [source[12 + row] >> (2 * column) & 3 for column in range(_TILES // 2)]
        tiles = half + half[::-1]
        line = bytes(tiles[x * _TILES // width] for x in range(width))
        rows.append(b"\0" + line)
    image = b"".join(rows[y * _TILES // height] for y in range(height))
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", palette),
            _chunk(b"tEXt", b"Software\0Tieline sandbox"),
            _chunk(b"IDAT", zlib.compress(image, 6)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
