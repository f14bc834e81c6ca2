"""Documents within every limit of size that take a hundred times as much when they are parsed."""

from __future__ import annotations

from support.rundlet import Rundlet
from support.servers.index import PackageIndex

PAGE = 60 << 20  # a page may have 64 MiB


def test_an_index_page_that_grows_when_it_is_read(rundlet: Rundlet, index: PackageIndex, image_311: object) -> None:
    """Read by a worker, which has 1 GiB: told as the page's fault, and nothing is left of it."""
    rundlet.ok("image", "import", "python-3.11", str(image_311), timeout=300)
    page = b'{"meta": {"api-version": "1.0"}, "name": "uv", "files": [' + b"{}," * (PAGE // 3) + b"{}]}"
    index.fault("/simple/uv/", body=page)
    done = rundlet("exec", "--with", "tiny", "--", "true").check(125)
    assert "it took more than 1.0 GiB of memory" in done.err, done.err
    assert len(done.err) < 2000
