"""Images that ship something else where a sandbox mounts: links of every kind, files, fifos, fake devices.

What is mounted there is ours all the same, and nothing outside is reached or made.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from escape.attacker_program import hashes
from functional.images.test_doctored_image import file_of

from support.images import WHITEOUT, Content, directory, fifo, file, symlink
from support.layouts import with_layers
from support.pipelines import write
from support.rundlet import Rundlet

# How /dev, /proc and /tmp are told: the numbers of their file systems, and that the devices are devices.
LOOK = """
import os, stat
def kind(path):
    with open("/proc/self/mountinfo") as mounts:
        return [line.split(" - ")[1].split()[0] for line in mounts if line.split()[4] == path][-1:]
null = os.stat("/dev/null")
print("proc", kind("/proc"), "dev", kind("/dev"), "tmp", kind("/tmp"), "pts", kind("/dev/pts"), "shm", kind("/dev/shm"))
print("null", stat.S_ISCHR(null.st_mode), os.major(null.st_rdev), os.minor(null.st_rdev))
print("cmdline", repr(open("/proc/cmdline").read()))
open("/tmp/made", "w").write("x")
open("/dev/shm/made", "w").write("x")
print("canary", os.path.exists("CANARY"))
"""
SOUND = """\
proc ['proc'] dev ['tmpfs'] tmp ['tmpfs'] pts ['devpts'] shm ['tmpfs']
null True 1 3
cmdline ''
canary False
"""


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    folder = tmp_path / "canary"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    (folder / "null").write_text("not to be written")
    (folder / "null").chmod(0o666)
    return folder


def links(target: str, places: tuple[str, ...] = ("dev", "proc", "sys", "tmp")) -> Mapping[str, Content]:
    """A layer that replaces directories by links."""
    return {place: symlink(target.replace("SELF", place)) for place in places}


LAYERS: dict[str, Mapping[str, Content]] = {
    "absolute": links("CANARY"),
    "relative": links("../../../../../../../../CANARY"),
    "dangling": links("/no/such/place"),
    "looping": links("SELF"),
    "to each other": {"dev": symlink("proc"), "proc": symlink("tmp"), "tmp": symlink("dev")},
    "into the image": links("/usr/lib"),
    "into proc": {"dev": symlink("/proc/1/root/dev"), "tmp": symlink("/proc/self/cwd")},
    "to the launcher's places": {"dev": symlink("/store"), "tmp": symlink("/scratch"), "proc": symlink("/root")},
    "files": {"dev": file("x"), "proc": file("x"), "sys": file("x"), "tmp": file("x")},
    "absent": {"dev": WHITEOUT, "proc": WHITEOUT, "sys": WHITEOUT, "tmp": WHITEOUT},
    "fake devices": {
        "dev": directory(),
        "dev/null": file("a file", 0o666),
        "dev/zero": fifo(),
        "dev/full": symlink("CANARY/null"),
        "dev/tty": symlink("/proc/self/mem"),
        "dev/pts": symlink("CANARY"),
        "dev/shm": symlink("CANARY"),
    },
    "null is a link": {"dev": directory(), "dev/null": symlink("CANARY/null")},
    "null is a fifo": {"dev": directory(), "dev/null": fifo()},
    "a fake proc": {"proc": directory(), "proc/cmdline": symlink("CANARY/null"), "proc/self": symlink("1")},
    "etc is a link": {"etc/hosts": symlink("CANARY/hosts"), "etc/resolv.conf": symlink("/dev/shm/x")},
    "a home elsewhere": {"tmp": directory(0o777), "tmp/home": symlink("CANARY")},
}


def with_canary(layer: Mapping[str, Content], canary: Path) -> dict[str, Content]:
    def led(content: Content) -> Content:
        link = getattr(content, "link", "").replace("/CANARY", str(canary)).replace("CANARY", str(canary))
        return symlink(link) if link else content

    return {path: led(content) for path, content in layer.items()}


@pytest.mark.parametrize("name", LAYERS)
def test_mounts_are_not_led_away(
    shared_state: Rundlet, image_311: Path, tmp_path: Path, canary: Path, name: str
) -> None:
    before = hashes(canary)
    layout = with_layers(image_311, tmp_path / "layout", with_canary(LAYERS[name], canary))
    shared_state.ok("image", "import", "hostile", layout)
    program = LOOK.replace("CANARY", str(canary))
    assert shared_state.ok("exec", "--image", "hostile", "--", "python3", "-c", program).out == SOUND
    shared_state.ok("image", "rm", "hostile")
    assert hashes(canary) == before


TARGETS: dict[str, tuple[str, Mapping[str, Content], bool]] = {
    # a target of --mount, what the image has there, whether the mount can be made inside
    "an absolute link": ("/opt/in", {"opt/in": symlink("CANARY")}, False),
    "a relative link": ("/opt/in", {"opt/in": symlink("../../../../CANARY")}, False),
    "a parent that is a link": ("/opt/in/deep", {"opt/in": symlink("CANARY")}, False),
    "a link to itself": ("/opt/in", {"opt/in": symlink("in")}, False),
    "a link into proc": ("/opt/in", {"opt/in": symlink("/proc/self/cwd")}, False),
    "a link inside": ("/opt/in", {"opt/in": symlink("/srv")}, True),
}


@pytest.mark.parametrize("name", TARGETS)
def test_targets_of_mounts_are_not_led_away(
    shared_state: Rundlet, image_311: Path, tmp_path: Path, canary: Path, name: str
) -> None:
    target, layer, inside = TARGETS[name]
    given = tmp_path / "given"
    given.mkdir()
    (given / "file").write_text("given")
    before = hashes(canary)
    layout = with_layers(image_311, tmp_path / "layout", with_canary(layer, canary))
    shared_state.ok("image", "import", "hostile", layout)
    done = shared_state("exec", "--image", "hostile", "--mount", f"{given}:{target}", "--", "cat", f"{target}/file")
    assert (done.code, done.out) == ((0, "given") if inside else (125, "")), str(done)
    if not inside:
        assert f"mounting `{target}`" in done.err
    shared_state.ok("image", "rm", "hostile")
    assert hashes(canary) == before


SETTINGS = [
    name for name in ("core_pattern", "sysrq", "modprobe", "hostname") if Path("/proc/sys/kernel", name).exists()
]


@pytest.mark.parametrize("place", ["/proc", "/proc/sys/kernel", "/proc/self", "/proc/1", "/proc/self/attr", "/proc/fs"])
def test_a_volume_over_a_part_of_proc_redirects_nothing(
    shared_state: Rundlet, image_311: Path, tmp_path: Path, place: str
) -> None:
    """A link of the image brings it there. What a runtime would write below /proc would go where the volume says."""
    settings = {name: Path("/proc/sys/kernel", name).read_bytes() for name in SETTINGS}
    volume = tmp_path / "volume"
    (volume / "attr").mkdir(parents=True)
    for name in ("uid_map", "gid_map", "setgroups", "oom_score_adj", "attr/exec", "attr/current", "loginuid"):
        (volume / name).symlink_to("/proc/sys/kernel/core_pattern")
    for name in SETTINGS:
        (volume / name).write_text("of the volume\n")
    for path in (volume, volume / "attr"):
        path.chmod(0o777)
    before = hashes(volume)
    layout = with_layers(image_311, tmp_path / "layout", {"opt/in": symlink(place)})
    shared_state.ok("image", "import", "hostile", layout)
    tried = "echo x > /opt/in/core_pattern; echo x > /proc/sys/kernel/core_pattern; exit 0"
    for mode in ("ro", "rw"):
        mount = ("--mount", f"{volume}:/opt/in:{mode}")
        done = shared_state("exec", "--image", "hostile", *mount, "--", "true")
        assert done.code == 0 or (done.code == 125 and "mounting `/opt/in`" in done.err), str(done)
        assert hashes(volume) == before, "somebody wrote below /proc"
        shared_state("exec", "--image", "hostile", *mount, "--", "sh", "-c", tried)
        assert {name: Path("/proc/sys/kernel", name).read_bytes() for name in settings} == settings
    shared_state.ok("image", "rm", "hostile")


def test_an_interpreter_that_takes_all_memory(rundlet: Rundlet, image_311: Path, tmp_path: Path) -> None:
    """When it is asked what it is, before anybody could have asked for a limit."""
    greedy = file(b"#!/bin/sh\nexec tail /dev/zero\n", 0o755)
    hostile = with_layers(
        image_311, tmp_path / "layout", {"usr/local/sbin": directory(), "usr/local/sbin/python3": greedy}
    )
    error = rundlet("image", "import", "greedy", hostile).check(2).err
    assert "its python3 fails: out of memory at 2.0 GiB" in error


HANG = """
with open("/proc/self/cmdline") as _line:
    if "MARK" in _line.read().replace("\\0", " "):
        while True:
            pass
"""
TINY = ("exec", "--image", "a-hanging", "--with", "tiny", "--", "true")
# What rundlet wants of it -> what is in its command line then, the command, and the error.
WANTED = {
    "to be asked": ("base_prefix", ("image", "import", "a-hanging", "LAYOUT"), "asking python3 of image `a-hanging`"),
    "to resolve": ("get_interpreter_info", TINY, "running uv in image `a-hanging`"),
    "to compile": (" -S - ", TINY, "compiling `tiny 2.0` in image `a-hanging`"),
    "to read a project": ("rundlet_reader", ("plan", "PROJECT"), "reading project `PROJECT`"),
    "to read a table": ("rundlet_runner", ("table", "head", "squares"), "running step `squares`"),
}


@pytest.mark.parametrize("name", WANTED)
def test_an_interpreter_that_does_not_end(
    shared_state: Rundlet, image_311: Path, tmp_path: Path, project: Path, name: str
) -> None:
    mark, command, attempt = WANTED[name]
    library = "usr/lib/python3.11/"
    changed = {
        library + path: file_of(image_311, library + path).decode() + HANG.replace("MARK", mark)
        for path in ("json/__init__.py", "warnings.py")
    }
    layout = with_layers(image_311, tmp_path / "layout", changed)
    write(project)
    if name == "to read a table":
        shared_state.ok("run", project)
    if name != "to be asked":
        shared_state.ok("image", "import", "a-hanging", layout)
    if name == "to compile":  # of a package that is there already: then it is waited for
        shared_state.ok("exec", "--image", "python-3.11", *TINY[3:])
    if name.startswith("to read"):  # with time enough for what comes before
        packages = "sqlglot==30.30.0", "duckdb==1.4.5", "pyarrow==22.0.0"
        shared_state.ok("exec", "--image", "a-hanging", *(f"--with={one}" for one in packages), "--", "true")
        settings = project / "rundlet.toml"
        settings.write_text(settings.read_text().replace("python-3.11", "a-hanging"))
    places = {"LAYOUT": str(layout), "PROJECT": str(project)}
    attempt = attempt.replace("PROJECT", str(project))
    for seconds in (6, 30, 100):  # what comes before has no more, and a busy machine may need it
        impatient = shared_state.with_environment(RUNDLET_PYTHON_TIMEOUT=str(seconds))
        done = impatient(*(places.get(word, word) for word in command), timeout=300)
        if attempt in done.err:
            break
    assert done.code in (1, 2, 125)
    assert attempt in done.err, done.err
    assert f"timed out after {seconds} s" in done.err
    assert done.err.endswith("hint: RUNDLET_PYTHON_TIMEOUT gives it more\n")
    if name != "to be asked":
        shared_state.ok("image", "rm", "a-hanging")
