"""Tar archives byte by byte, for what Python's tarfile would not write.

layer = header("a", size=3) + padded(b"abc") + END
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

END = bytes(1024)
USTAR, GNU, V7 = b"ustar\x0000", b"ustar  \x00", bytes(8)
Text = Union[str, bytes]


def _bytes(text: Text) -> bytes:
    return text.encode() if isinstance(text, str) else text


def header(
    name: Text,
    kind: bytes = b"0",
    *,
    link: Text = "",
    size: int = 0,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    magic: bytes = USTAR,
    binary_size: bool = False,
    more: Sequence[tuple[int, bytes]] = (),
) -> bytes:
    """One block whose checksum is right. `more`: bytes at offsets, whatever the fields say."""
    block = bytearray(512)

    def put(offset: int, data: bytes) -> None:
        block[offset : offset + len(data)] = data

    put(0, _bytes(name)[:100])
    for offset, number in ((100, mode), (108, uid), (116, gid)):
        put(offset, b"%07o\0" % number)
    put(124, b"\x80" + size.to_bytes(11, "big") if binary_size else b"%011o\0" % size)
    put(136, b"%011o\0" % 1_000_000_000)
    put(156, kind)
    put(157, _bytes(link)[:100])
    put(257, magic)
    for offset, data in more:
        put(offset, data)
    put(148, b" " * 8)
    put(148, b"%06o\0 " % sum(block))
    return bytes(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def record(key: str, value: Text) -> bytes:
    rest = b" " + key.encode() + b"=" + _bytes(value) + b"\n"
    length = len(rest) + 1
    while length != len(str(length)) + len(rest):
        length += 1
    return str(length).encode() + rest


def pax(*records: tuple[str, Text], kind: bytes = b"x") -> bytes:
    """An extended header: what it says is of the entry that follows, or, with `g`, of all."""
    text = b"".join(record(key, value) for key, value in records)
    return header("pax", kind, size=len(text)) + padded(text)


def long_name(name: Text, kind: bytes = b"L") -> bytes:
    """GNU tar's: the next entry's name, or, with `K`, its link."""
    text = _bytes(name) + b"\0"
    return header("././@LongLink", kind, size=len(text), magic=GNU) + padded(text)


def file(name: Text, content: bytes = b"") -> bytes:
    return header(name, size=len(content)) + padded(content)
