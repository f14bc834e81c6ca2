#!/usr/bin/env python3
"""Writes the corpus of layer_fuzz: archives as programs write them, and attacks on readers.

The files are committed; this says where they come from: `make_layer_corpus.py corpus/layer`.
"""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path
from typing import Callable, Optional

Change = Callable[[bytearray], None]


def header(name: str, kind: bytes = b"0", size: int = 0, change: Optional[Change] = None) -> bytes:
    """A ustar header whose checksum is right, whatever `change` did to it."""
    block = bytearray(512)
    block[0 : len(name)] = name.encode()
    block[100:108] = b"0000644\0"
    block[108:116] = block[116:124] = b"0000000\0"
    block[124:136] = b"%011o\0" % size
    block[136:148] = b"%011o\0" % 1_000_000_000
    block[156:157] = kind
    block[257:265] = b"ustar\00000"
    if change:
        change(block)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def pax(*records: str, kind: bytes = b"x") -> bytes:
    text = b""
    for record in records:
        rest = f" {record}\n".encode()
        length = len(rest) + 1
        while length != len(str(length)) + len(rest):
            length += 1
        text += str(length).encode() + rest
    return header("pax", kind, len(text)) + padded(text)


def written(layout: int) -> bytes:
    """An archive with every kind of entry, by Python's tarfile in one of its formats."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=layout) as tar:

        def add(
            name: str, kind: bytes, content: bytes = b"", link: str = "", **more: object
        ) -> None:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(content), link
            info.mtime = 1_000_000_000
            for key, value in more.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content))

        add("usr", tarfile.DIRTYPE, mode=0o755)
        add("usr/file", tarfile.REGTYPE, b"content", mode=0o4755, uid=1000, gid=1000)
        add("usr/empty", tarfile.REGTYPE)
        add("usr/link", tarfile.SYMTYPE, link="/etc/passwd")
        add("usr/hard", tarfile.LNKTYPE, link="usr/file")
        add("usr/.wh.gone", tarfile.REGTYPE)
        add("usr/.wh..wh..opq", tarfile.REGTYPE)
        add("dev/null", tarfile.CHRTYPE, devmajor=1, devminor=3)
        add("fifo", tarfile.FIFOTYPE)
        if layout != tarfile.USTAR_FORMAT:
            add("long/" + "n" * 200, tarfile.REGTYPE, b"x" * 600)
            add("k" * 120, tarfile.SYMTYPE, link="l" * 150)
            add("large id", tarfile.REGTYPE, uid=3_000_000, gid=3_000_000)
        if layout == tarfile.PAX_FORMAT:
            add("n\u00e4me", tarfile.REGTYPE, b"x", mtime=1.25)
            add("xattr", tarfile.REGTYPE, b"x", pax_headers={"SCHILY.xattr.user.x": "v"})
    return out.getvalue()


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    end = bytes(1024)
    inner = header("smuggled")
    whole = written(tarfile.PAX_FORMAT)

    def set_at(at: int, data: bytes) -> Change:
        def change(block: bytearray) -> None:
            block[at : at + len(data)] = data

        return change

    inputs = {
        "ustar": written(tarfile.USTAR_FORMAT),
        "gnu": written(tarfile.GNU_FORMAT),
        "pax": whole,
        "cut-in-header": whole[:700],
        "cut-in-data": whole[:1500],
        "no-end": header("a"),
        "one-zero-block": header("a") + bytes(512),
        "zero-block-inside": header("a") + bytes(512) + header("b") + end,
        "behind-the-end": header("a") + end + header("b") + end,
        "empty": b"",
        "zeros": bytes(10240),
        "no-name": header("") + end,
        "dot-dot": header("../../etc/passwd") + end,
        "absolute": header("/etc/passwd") + end,
        "root-is-a-link": header("./", b"2", change=set_at(157, b"/tmp")) + end,
        "file-with-slash": header("a/") + end,
        "old-directory": header("a/", b"\0", change=set_at(257, bytes(8))) + end,
        "old-directory-renamed": (
            pax("path=a") + header("a/", b"\0", change=set_at(257, bytes(8))) + end
        ),
        "gnu-name-without-end": header("l", b"L", 2) + padded(b"yz") + header("a") + end,
        "gnu-name-goes-on": header("l", b"L", 4) + padded(b"y\0z\0") + header("a") + end,
        "old-directory-with-size": header("a/", b"\0", 512, set_at(257, bytes(8))) + inner + end,
        "hard-link-with-body": header("a", b"1", 512, set_at(157, b"b")) + inner + end,
        "symlink-with-body": header("a", b"2", 512, set_at(157, b"b")) + inner + end,
        "directory-with-body": header("a", b"5", 512) + inner + end,
        "fifo-with-body": header("a", b"6", 512) + inner + end,
        "pax-size-hides": pax("size=512") + header("a") + inner + end,
        "pax-size-shows": pax("size=0") + header("a", size=512) + inner + end,
        "pax-size-same": pax("size=5") + header("a", size=5) + padded(b"12345") + end,
        "pax-size-huge": pax("size=18446744073709551615") + header("a") + end,
        "pax-size-link": (
            pax("size=512") + header("a", b"1", change=set_at(157, b"b")) + inner + end
        ),
        "pax-twice": pax("path=x") + pax("uid=1") + header("a") + end,
        "pax-key-twice": pax("path=x", "path=y") + header("a") + end,
        "pax-path-nul": pax("path=a\0b") + header("a") + end,
        "pax-path-empty": pax("path=") + header("a") + end,
        "pax-length-lies": (
            header("p", b"x", 20) + padded(b"99 path=x\n10 uid=1\n\n") + header("a") + end
        ),
        "pax-global-path": pax("path=x", kind=b"g") + header("a") + end,
        "pax-global-comment": pax("comment=x", kind=b"g") + header("a") + end,
        "pax-then-end": pax("path=x") + end,
        "pax-and-gnu": pax("path=x") + header("l", b"L", 2) + padded(b"y\0") + header("a") + end,
        "gnu-name-twice": (header("l", b"L", 2) + padded(b"y\0")) * 2 + header("a") + end,
        "gnu-name-empty": header("l", b"L", 0) + header("a") + end,
        "gnu-name-huge": header("l", b"L", 8**11 - 1) + header("a") + end,
        "gnu-sparse": header("a", b"S") + end,
        "pax-sparse": (
            pax("GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.realsize=9") + header("a")
            + end
        ),
        "gnu-sparse-whole": (
            header("a", b"S", 512, lambda b: (
                set_at(257, b"ustar  \0")(b),
                set_at(386, b"00000001000\00000001000\0")(b),
                set_at(483, b"00000002000\0")(b),
            )[0]) + bytes(512) + end
        ),
        "gnu-sparse-goes-on": (
            header("a", b"S", 0, lambda b: (
                set_at(257, b"ustar  \0")(b), set_at(386, b"00000000000\0" * 8)(b), set_at(482, b"\1")(b)
            )[0]) + end
        ),
        "pax-sparse-whole": (
            pax("GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=b", "GNU.sparse.realsize=2000")
            + header("a", size=1024) + padded(b"1\n600\n512\n") + padded(b"x" * 512) + end
        ),
        "pax-sparse-map": (
            pax("GNU.sparse.size=2000", "GNU.sparse.numblocks=1", "GNU.sparse.map=600,512")
            + header("a", size=512) + padded(b"x" * 512) + end
        ),
        "multi-volume": header("a", b"M") + end,
        "size-binary": (
            header("a", change=set_at(124, b"\x80" + bytes(10) + b"\x05")) + padded(b"12345")
            + end
        ),
        "size-binary-huge": header("a", change=set_at(124, b"\x80\x7f" + b"\xff" * 10)) + end,
        "size-negative": header("a", change=set_at(124, b"\xff" * 12)) + end,
        "size-no-number": header("a", change=set_at(124, b"0000000009z\0")) + end,
        "size-spaces": header("a", change=set_at(124, b"          5 ")) + padded(b"12345") + end,
        "mtime-negative": header("a", change=set_at(136, b"\xff" * 12)) + end,
        "star-prefix": (
            header("a", change=lambda b: (set_at(345, b"p")(b), set_at(508, b"tar\0")(b))[0])
            + end
        ),
        "full-name": header("n" * 100, change=set_at(345, b"p" * 155)) + end,
        "link-to-nothing": header("a", b"1") + end,
        "gnu-link-only": header("l", b"K", 2) + padded(b"y\0") + header("a", b"1") + end,
        "unknown-magic": (
            header("a", change=lambda b: (set_at(345, b"p")(b), set_at(262, b".")(b))[0]) + end
        ),
        "escape-in-name": header("\x1b[2J") + header("\x1b[2J") + end,
        "bad-checksum": header("a").replace(b"a", b"b", 1) + end,
    }
    for name, data in inputs.items():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
