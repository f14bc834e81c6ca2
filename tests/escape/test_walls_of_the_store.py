"""The walls around what is kept, taken away (test_walls.py): bytes that were altered where they lie."""

from __future__ import annotations

from escape.weakened_programs import Attack, Weak
from functional.commands.test_full_disk import Disk
from functional.conftest import built_image
from functional.packages.test_package_store import alter, change_below_the_cache, site, small_disk, use  # noqa: F401

from support.rundlet import Rundlet
from support.servers.index import PackageIndex
from support.wheels import module

IMAGE = ("--image", "python-3.11")


def test_a_package_that_was_altered(weak: Weak, warm: Rundlet, index: PackageIndex) -> None:
    index.add(module("altered", content="print('good')\n"))
    use(warm, "altered")
    (package,) = site(warm, "packages", "altered.py")

    def tried(driver: Rundlet) -> bool:
        return driver("package", "verify").code == 0

    alter(package)
    Attack(weak, warm, tried).is_held_by("verified bytes")
    warm.ok("package", "verify", "--repair")


def test_a_disk_that_holds_something_else(weak: Weak, small_disk: Disk, index: PackageIndex) -> None:  # noqa: F811
    marker = b"value = 'found on the disk by this text'\n"
    index.add(module("stable", content=marker.decode()))
    state = Rundlet(small_disk.root / "state", environment={"RUNDLET_INDEX": index.url})
    state.ok("image", "import", "python-3.11", built_image("python-3.11"), timeout=300)
    use(state, "stable")

    def tried(driver: Rundlet) -> bool:
        return driver("package", "verify", "--disk").code == 0

    with change_below_the_cache(small_disk, *site(state, "packages", "stable.py"), marker):
        Attack(weak, state, tried).is_held_by("disk's bytes")


def test_a_list_of_entries_that_was_altered(weak: Weak, warm: Rundlet, index: PackageIndex) -> None:
    """It says where an environment's packages are: another package would take the place of one."""
    names = ("wanted-one", "another")
    for name in names:
        index.add(module(name, content=f"print({name!r})\n"))
        use(warm, name)
        use(warm, name)
    wanted, another = (site(warm, "lowers", f"{name.replace('-', '_')}.py")[0].parents[4].name for name in names)

    def tried(driver: Rundlet) -> bool:
        (kept,) = (path for path in driver.state.glob("leases/sets/*") if wanted.encode() in path.read_bytes())
        head, _, meta = kept.read_bytes().partition(b"\n\n")
        kept.write_bytes(head + b"\n\n" + meta.replace(wanted.encode(), another.encode()))
        done = driver("exec", *IMAGE, "--with", "wanted-one", "--", "python3", "-c", "import another")
        assert done.code == 0 or "No module named 'another'" in done.err, str(done)
        return done.code == 0

    Attack(weak, warm, tried).is_held_by("set's bytes")
