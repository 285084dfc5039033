"""What a scheme needs to finish a sign-in that it began, as one secret and back. Knows nothing of sealing it."""

from collections.abc import Iterator, Mapping

from tieline.core.secret import Secret

_LENGTH = 4


def pack(context: Mapping[str, Secret]) -> Secret:
    """``context`` as one secret: each name and value behind its length (4 bytes, big-endian)."""
    pieces = [piece for name, value in context.items() for piece in (name.encode(), value.reveal_bytes())]
    return Secret(b"".join(len(piece).to_bytes(_LENGTH, "big") + piece for piece in pieces))


def unpack(packed: Secret) -> dict[str, Secret]:
    """What ``pack`` made ``packed`` of."""
    pieces = list(_pieces(packed.reveal_bytes()))
    return {name.decode(): Secret(value) for name, value in zip(pieces[::2], pieces[1::2], strict=True)}


def _pieces(text: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(text):
        end = start + _LENGTH + int.from_bytes(text[start : start + _LENGTH], "big")
        yield text[start + _LENGTH : end]
        start = end
