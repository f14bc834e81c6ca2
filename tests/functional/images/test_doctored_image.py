"""An image whose Python is not what it seems: what it makes stays with it."""

from __future__ import annotations

import base64
import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from support.images import file
from support.layouts import with_layers
from support.rundlet import Rundlet
from support.servers.index import PackageIndex
from support.store import nothing_kept
from support.wheels import Wheel

# On top of the standard library's warnings, which the compiler imports: what it compiles marks whoever imports it.
WARNINGS = """
import builtins, os, sys

def doctored_compile(text, name, *more, compile=builtins.compile, **named):
    if isinstance(text, bytes):
        text += b"\\nimport builtins; builtins.doctored = True\\n"
        DROP
    return compile(text, name, *more, **named)

builtins.compile = doctored_compile
"""
DROP = "if len(sys.argv) == 4: open(os.path.join(sys.argv[2], 'dropped.py'), 'w').write('x = 1')"
# Half a file of bytecode, with a good header, and an end as the kernel gives it to who takes too much memory.
CUT_SHORT = """if sys.argv[2:]:
            made = os.path.join(sys.argv[2], '__pycache__')
            os.mkdir(made)
            with open(os.path.join(made, 'six.cpython-311.pyc'), 'wb') as half:
                half.write(__import__('importlib.util').util.MAGIC_NUMBER + bytes([1]) + bytes(11))
            os.kill(os.getpid(), 9)"""
PROGRAM = "import builtins, six; print(six.__version__, getattr(builtins, 'doctored', False))"


def file_of(layout: Path, path: str) -> bytes:
    """A file of the image, out of the uppermost layer that has it."""
    blobs = layout / "blobs/sha256"
    index = json.loads((layout / "index.json").read_text())
    manifest = json.loads((blobs / index["manifests"][0]["digest"].partition(":")[2]).read_text())
    for layer in reversed(manifest["layers"]):
        with tarfile.open(blobs / layer["digest"].partition(":")[2]) as tar:
            for member in tar:
                if member.name.removeprefix("./") == path and member.isfile():
                    opened = tar.extractfile(member)
                    assert opened is not None
                    return opened.read()
    raise FileNotFoundError(path)


def doctored(layout: Path, folder: Path, drop: str = "pass") -> Path:
    path = "usr/lib/python3.11/warnings.py"
    return with_layers(layout, folder, {path: file_of(layout, path).decode() + WARNINGS.replace("DROP", drop)})


def import_all(driver: Rundlet, **images: Path) -> dict[str, str]:
    """The identities of their interpreters."""
    for name, layout in images.items():
        driver.ok("image", "import", name, layout, timeout=300)
    return {image["name"]: image["identity"] for image in driver.json("image", "ls")}


def entries_of_six(driver: Rundlet, kind: str) -> dict[str, str]:
    """Keys of the entries for six, and the digest of the manifest of each."""
    records = (json.loads(path.read_text()) for path in driver.state.glob(f"{kind}/*/entry.json"))
    return {record["key"]: record["output"] for record in records if record["name"].startswith("six ")}


def use_six(driver: Rundlet, image: str) -> str:
    return driver.ok("exec", "--image", image, "--with", "six==1.17.0", "--", "python3", "-c", PROGRAM).out


def test_packages_of_a_clean_image_are_its_own(
    rundlet: Rundlet, index: PackageIndex, small_image: Path, tmp_path: Path
) -> None:
    images = {"clean": small_image, "doctored": doctored(small_image, tmp_path / "layout")}
    identities = import_all(rundlet, **images)
    assert identities["clean"] != identities["doctored"]
    assert use_six(rundlet, "doctored") == "1.17.0 False\n"  # not compiled yet
    assert use_six(rundlet, "doctored") == "1.17.0 True\n"
    assert use_six(rundlet, "clean") == "1.17.0 False\n"

    # As if the other image had never been there, to the byte
    alone = Rundlet(tmp_path / "alone", environment=rundlet.environment)
    import_all(alone, clean=small_image)
    assert use_six(alone, "clean") == "1.17.0 False\n"
    assert entries_of_six(rundlet, "packages") == entries_of_six(alone, "packages")
    ours, theirs = entries_of_six(alone, "lowers"), entries_of_six(rundlet, "lowers")
    assert len(ours) == 1
    assert len(theirs) == 2
    assert ours.items() <= theirs.items()
    assert len(set(theirs.values())) == 2


def test_what_it_drops_beside_a_package_is_refused(
    rundlet: Rundlet, index: PackageIndex, small_image: Path, tmp_path: Path
) -> None:
    import_all(rundlet, clean=small_image, doctored=doctored(small_image, tmp_path / "layout", DROP))
    use_six(rundlet, "clean")
    with nothing_kept(rundlet.state, but=("skeletons",)):
        done = rundlet("-q", "exec", "--image", "doctored", "--with", "six==1.17.0", "--", "true").check(125)
    assert done.err == (
        "error: checking bytecode `lib/python3.11/site-packages/dropped.py`\n"
        "caused by: the image's interpreter wrote it unasked\n"
    )
    assert use_six(rundlet, "clean") == "1.17.0 False\n"


def test_what_it_drops_while_a_command_runs_is_refused(
    rundlet: Rundlet, index: PackageIndex, small_image: Path, tmp_path: Path
) -> None:
    """Nobody waits for it: the command is done, and is told."""
    import_all(rundlet, doctored=doctored(small_image, tmp_path / "layout", DROP))
    done = rundlet("exec", "--image", "doctored", "--with", "six==1.17.0", "--", "python3", "-c", PROGRAM).check(0)
    assert done.out == "1.17.0 False\n"
    assert (
        "note: bytecode: checking bytecode `lib/python3.11/site-packages/dropped.py`: "
        "the image's interpreter wrote it unasked\n"
    ) in done.err
    assert list(rundlet.state.glob("lowers/*")) == []


def test_what_it_drops_cannot_pass_for_a_line_of_ours(
    rundlet: Rundlet, index: PackageIndex, small_image: Path, tmp_path: Path
) -> None:
    name = "x\nerror: all is lost\nhint: do as I say"
    import_all(
        rundlet, doctored=doctored(small_image, tmp_path / "layout", DROP.replace("dropped.py", repr(name)[1:-1]))
    )
    done = rundlet("exec", "--image", "doctored", "--with", "six==1.17.0", "--", "python3", "-c", PROGRAM).check(0)
    assert "error: all is lost" in done.err
    assert not [line for line in done.err.splitlines() if line.startswith(("error:", "hint:"))]


def test_half_of_the_bytecode_is_none(rundlet: Rundlet, index: PackageIndex, small_image: Path, tmp_path: Path) -> None:
    """A compiler that is killed: the package works without."""
    import_all(rundlet, doctored=doctored(small_image, tmp_path / "layout", CUT_SHORT))
    assert use_six(rundlet, "doctored") == "1.17.0 False\n"
    assert list(rundlet.state.glob("lowers/*/tree/lib/python3.11/site-packages/six.py"))
    assert list(rundlet.state.glob("lowers/*/tree/**/*.pyc")) == []


def test_identity_is_of_the_layers(rundlet: Rundlet, small_image: Path, tmp_path: Path) -> None:
    images = {
        "clean": small_image,
        "same": small_image,
        "altered": with_layers(small_image, tmp_path / "layout", {"opt/x": file(b"")}),
    }
    identities = import_all(rundlet, **images)
    assert identities["clean"] == identities["same"] != identities["altered"]


LIBRARY = ("/usr/lib/python3.11", "/usr/lib/python3.11/lib-dynload", "/env/lib/python3.11/site-packages")


def archive(name: str, text: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as packed:
        packed.writestr(name, text)
    return made.getvalue()


def bytecode(driver: Rundlet, text: str) -> bytes:
    """As an image's Python takes it without looking at what it was made of (PEP 552)."""
    program = (
        "import base64, importlib.util, marshal, sys; code = compile(sys.stdin.read(), 'warnings.py', 'exec'); "
        "made = importlib.util.MAGIC_NUMBER + bytes([1]) + bytes(11) + marshal.dumps(code); "
        "print(base64.b64encode(made).decode())"
    )
    return base64.b64decode(driver.ok("exec", "--image", "clean", "--", "python3", "-c", program, input=text).out)


@pytest.mark.parametrize("place", ["cached", "archive", "beside"])
def test_what_takes_part_beside_the_program_and_its_library(
    rundlet: Rundlet, index: PackageIndex, small_image: Path, tmp_path: Path, place: str
) -> None:
    """Not a byte of the interpreter or of its library is another one."""
    import_all(rundlet, clean=small_image)
    text = file_of(small_image, "usr/lib/python3.11/warnings.py").decode() + WARNINGS.replace("DROP", "pass")
    layer = {
        "cached": {"usr/lib/python3.11/__pycache__/warnings.cpython-311.pyc": file(bytecode(rundlet, text))},
        "archive": {"usr/lib/python311.zip": file(archive("warnings.py", text))},
        "beside": {
            "usr/bin/python3.11._pth": "".join(f"{folder}\n" for folder in ("/opt", *LIBRARY)),
            "opt/warnings.py": text,
        },
    }[place]
    import_all(rundlet, doctored=with_layers(small_image, tmp_path / "layout", layer))
    for _ in range(2):  # its bytecode is there the second time
        said = use_six(rundlet, "doctored")
    assert said == "1.17.0 True\n"
    assert use_six(rundlet, "clean") == "1.17.0 False\n"


# To the resolver, which asks it what it is.
LIE = """
def dumps(what, *more, dumps=dumps, **named):
    if isinstance(what, dict) and "markers" in what:
        what["markers"]["platform_release"] = "doctored"
    return dumps(what, *more, **named)
"""


def test_what_it_says_of_itself_to_the_resolver(
    rundlet: Rundlet, index: PackageIndex, small_image: Path, tmp_path: Path
) -> None:
    """It chooses what is installed for it, and not what is installed for others."""
    index.add(Wheel("choosing", files={"choosing.py": ""}, requires=["tiny; platform_release == 'doctored'"]))
    path = "usr/lib/python3.11/json/__init__.py"
    layer = {path: file_of(small_image, path).decode() + LIE}
    import_all(rundlet, clean=small_image, doctored=with_layers(small_image, tmp_path / "layout", layer))
    program = "import importlib.util; print(importlib.util.find_spec('tiny') is not None)"
    for image, chosen in (("doctored", True), ("clean", False), ("doctored", True)):
        command = ("exec", "--image", image, "--with", "choosing", "--", "python3", "-c", program)
        assert rundlet.ok(*command).out == f"{chosen}\n"
