"""Content codings are undone, within bounds."""

import gzip
import os
import zlib

import pytest

from tieline.core.errors import UpstreamProtocolError, UpstreamResponseTooLarge
from tieline.dataplane.answers.content_coding import Inflate, coding

TEXT = b"the same again and again. " * 400
_RAW = zlib.compressobj(wbits=-zlib.MAX_WBITS)
RAW = _RAW.compress(TEXT) + _RAW.flush()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        (b"gzip", gzip.compress(TEXT)),
        (b"deflate", zlib.compress(TEXT)),
        (b"deflate", RAW),
        (b"x-gzip", gzip.compress(TEXT[:999]) + gzip.compress(TEXT[999:])),
    ],
    ids=["gzip", "zlib", "deflate", "members"],
)
@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_a_coding_is_undone_however_it_is_cut(name: bytes, data: bytes, step: int) -> None:
    """gzip in several members too, deflate with and without its header."""
    undo = coding([(b"Content-Encoding", name)], 1_000_000)
    assert undo is not None
    assert b"".join(undo.feed(data[at : at + step]) for at in range(0, len(data), step)) == TEXT
    undo.finish()


def test_no_coding_is_nothing_to_undo() -> None:
    """Identity is none."""
    assert coding([(b"content-encoding", b"identity")], 1) is None
    assert coding([], 1) is None


def test_a_bomb_is_refused_before_it_is_large() -> None:
    """What becomes far larger than it was is no answer."""
    bomb = gzip.compress(bytes(30_000_000))
    with pytest.raises(UpstreamResponseTooLarge):
        Inflate(1_000_000_000).feed(bomb)


def test_the_most_is_kept_to() -> None:
    """However well it compresses."""
    with pytest.raises(UpstreamResponseTooLarge):
        Inflate(1_000).feed(gzip.compress(TEXT))


@pytest.mark.parametrize("data", [b"no gzip at all", gzip.compress(TEXT)[:-9]], ids=["none", "cut"])
def test_what_cannot_be_decoded_is_an_upstream_error(data: bytes) -> None:
    """Broken, or cut."""
    undo = Inflate(1_000_000)
    with pytest.raises(UpstreamProtocolError):
        undo.feed(data)
        undo.finish()


@pytest.mark.parametrize("value", [b"br", b"zstd", b"gzip, gzip"])
def test_codings_that_are_not_read_are_named(value: bytes) -> None:
    """The error says which it was."""
    with pytest.raises(UpstreamProtocolError, match=value.decode().split(",")[0]):
        coding([(b"content-encoding", value)], 1)


@pytest.mark.parametrize("name", [b"UTF-8", b"none", b"identity", b"binary", b"identity, none", b""])
def test_what_names_no_coding_is_passed_over(name: bytes) -> None:
    """Servers write the charset, or the transfer encoding of mail, into the field."""
    assert coding([(b"Content-Encoding", name)], 1) is None


def test_members_without_end_are_refused() -> None:
    """A MiB of empty members would be fifty thousand decompressors."""
    undo = Inflate(16 * 1024 * 1024)
    with pytest.raises(UpstreamResponseTooLarge):
        undo.feed(gzip.compress(b"") * 50_000)


def test_a_member_for_each_block_is_read() -> None:
    """As bgzip and log shippers write them."""
    block = gzip.compress(os.urandom(8192))
    undo = Inflate(64 * 1024 * 1024)
    assert len(undo.feed(block * 3_000)) == 3_000 * 8192
