"""What distributions on the index are like, with small wheels: the rows of docs/reference/packages.md."""

from __future__ import annotations

import textwrap

from support.rundlet import Result, Rundlet, exec_command
from support.servers.index import PackageIndex
from support.shared_objects import NATIVE, SUFFIX, extension, program, with_library
from support.wheels import Wheel, module, pkgutil_namespace

IMAGE = ("--image", "python-3.11")


def exec_with(driver: Rundlet, *requirements: str, run: tuple[str, ...] = ("true",), **more: object) -> Result:
    return driver(*exec_command(requirements, *run), **more)  # type: ignore[arg-type]


def python(driver: Rundlet, *requirements: str, code: str) -> str:
    """What a program prints in an environment of these requirements."""
    run = ("python3", "-c", textwrap.dedent(code))
    return exec_with(driver, *requirements, run=run).check(0).out.strip()


def entries(driver: Rundlet, folder: str) -> set[str]:
    return {path.name for path in (driver.state / folder).iterdir()}


def test_dependencies_are_installed_once(warm: Rundlet, index: PackageIndex) -> None:
    shared = index.add(module("base-part"))
    top = index.add(
        Wheel(
            "top-part",
            files={"top_part.py": "import base_part\n"},
            requires=["base-part", 'extra-part; extra == "more"'],
            extras=["more"],
        )
    )
    extra = index.add(module("extra-part"))
    python(warm, "top-part", code="import top_part")
    assert (index.count(shared), index.count(top), index.count(extra)) == (1, 1, 0)
    python(warm, "top-part[more]", code="import top_part, extra_part")
    assert (index.count(shared), index.count(top), index.count(extra)) == (1, 1, 1)


def test_pkgutil_namespace_with_identical_init(warm: Rundlet, index: PackageIndex) -> None:
    for wheel in pkgutil_namespace("old_space", "first", "second"):
        index.add(wheel)
    code = "from old_space import first, second; print(first.name, second.name)"
    assert python(warm, "old-space-first", "old-space-second", code=code) == "first second"


def test_blank_init_shared_at_top_level(warm: Rundlet, index: PackageIndex) -> None:
    for part in ("blas", "dnn"):
        files = {"vendor/__init__.py": "", f"vendor/{part}/__init__.py": "", f"vendor/{part}/lib/x.so": part}
        index.add(Wheel(f"vendor-{part}", files=files))
    code = """
        import os, vendor.blas, vendor.dnn
        print(os.listdir(os.path.join(os.path.dirname(vendor.dnn.__file__), "lib")))
    """
    assert python(warm, "vendor-blas", "vendor-dnn", code=code) == "['x.so']"


def test_rpath_to_a_sibling_distribution(warm: Rundlet, index: PackageIndex) -> None:
    soname = "libsibling.so.1"
    user, sibling = with_library("_user", soname, "from the sibling", "$ORIGIN/../sibling/lib")
    index.add(Wheel("sibling", files={"sibling/__init__.py": "", f"sibling/lib/{soname}": sibling}, **NATIVE))
    index.add(
        Wheel(
            "sibling-user", files={"user/__init__.py": "", f"user/_user.{SUFFIX}": user}, requires=["sibling"], **NATIVE
        )
    )
    assert python(warm, "sibling-user", code="from user import _user; print(_user.value)") == "from the sibling"


def test_bundled_libraries(warm: Rundlet, index: PackageIndex) -> None:
    soname = "libbundled-1a2b.so.3"
    user, bundled = with_library("_native", soname, "bundled", "$ORIGIN/../bundler.libs")
    files = {"bundler/__init__.py": "", f"bundler/_native.{SUFFIX}": user, f"bundler.libs/{soname}": bundled}
    index.add(Wheel("bundler", files=files, **NATIVE))
    assert python(warm, "bundler", code="from bundler import _native; print(_native.value)") == "bundled"


def test_modules_at_the_root(warm: Rundlet, index: PackageIndex) -> None:
    index.add(
        Wheel(
            "rooted",
            files={"rooted.py": "from _rooted import value\n", f"_rooted.{SUFFIX}": extension("_rooted")},
            **NATIVE,
        )
    )
    assert python(warm, "rooted", code="import rooted, _rooted; print(rooted.value)") == "own"


def test_pth_files_are_processed(warm: Rundlet, index: PackageIndex) -> None:
    index.add(
        Wheel(
            "with-pth",
            files={
                "with_pth.pth": "with_pth_more\nimport with_pth_hook; with_pth_hook.started()\n",
                "with_pth_more/on_added_path.py": "name = 'added'\n",
                "with_pth_hook.py": "import sys\n\ndef started():\n    sys.with_pth_started = True\n",
            },
        )
    )
    code = "import sys, on_added_path; print(on_added_path.name, sys.with_pth_started)"
    assert python(warm, "with-pth", code=code) == "added True"
    # Inside the sandboxes that ask for it only: installing another package does not start it.
    index.add(module("without-pth"))
    code = "import sys; print(hasattr(sys, 'with_pth_started'))"
    assert python(warm, "without-pth", code=code) == "False"


def test_programs_in_bin(warm: Rundlet, index: PackageIndex) -> None:
    native = program('#include <stdio.h>\nint main(void) { puts("native ran"); return 0; }')
    index.add(
        Wheel(
            "with-bin",
            files={"with_bin.py": "def main():\n    import sys\n    print(sys.executable)\n"},
            data={"scripts/with-native": native},
            entry_points={"console_scripts": {"with-entry": "with_bin:main"}},
            **NATIVE,
        )
    )
    code = """
        import subprocess
        for name in ("with-native", "with-entry"):
            print(subprocess.run([name], check=True, capture_output=True, text=True).stdout.strip())
    """
    assert python(warm, "with-bin", code=code).splitlines() == ["native ran", "/env/bin/python"]


def test_data_lies_under_the_prefix(warm: Rundlet, index: PackageIndex) -> None:
    data = {"data/share/prefixed/a.txt": "a", "data/etc/prefixed/b.conf": "b", "headers/prefixed.h": "c"}
    index.add(Wheel("prefixed", files={"prefixed.py": ""}, data=data))
    code = """
        import sys, sysconfig
        for path in ("share/prefixed/a.txt", "etc/prefixed/b.conf"):
            print(open(f"{sys.prefix}/{path}").read())
    """
    assert python(warm, "prefixed", code=code).split() == ["a", "b"]


def test_entry_points_across_distributions(warm: Rundlet, index: PackageIndex) -> None:
    for name in ("plug-one", "plug-two"):
        escaped = name.replace("-", "_")
        index.add(module(name, entry_points={"sockets.of.tests": {name: f"{escaped}:__version__"}}))
    code = """
        from importlib.metadata import entry_points
        print(sorted((p.name, p.load()) for p in entry_points(group="sockets.of.tests")))
    """
    assert python(warm, "plug-one", "plug-two", code=code) == "[('plug-one', '1.0'), ('plug-two', '1.0')]"


def test_metadata_is_the_environments_own(warm: Rundlet, index: PackageIndex) -> None:
    index.add(module("pip", "99.0"))
    index.add(module("asks"))
    code = "from importlib.metadata import distributions; print(sorted(d.name for d in distributions()))"
    assert python(warm, "asks", code=code) == "['asks']"
    code = "from importlib.metadata import version; import pip; print(version('pip'), pip.__version__)"
    assert python(warm, "pip", code=code) == "99.0 99.0"


def test_junk_at_top_level(warm: Rundlet, index: PackageIndex) -> None:
    for part in ("left", "right"):
        index.add(Wheel(f"junk-{part}", files={f"junk_{part}.py": "", "tests/__init__.py": f"# {part}\n"}))
    done = exec_with(warm, "junk-left", "junk-right", run=("python3", "-c", "import junk_left, junk_right")).check(0)
    assert "tests/__init__.py" in done.err
    assert "junk-left" in done.err
    assert "junk-right" in done.err


def test_backport_of_the_standard_library(warm: Rundlet, index: PackageIndex) -> None:
    index.add(Wheel("dataclasses", files={"dataclasses.py": "raise RuntimeError('the backport was imported')\n"}))
    run = ("python3", "-c", "import dataclasses; print(dataclasses.__file__)")
    done = exec_with(warm, "dataclasses", run=run).check(0)
    assert not done.out.startswith("/env")
    assert "standard library" in done.err
    assert "`dataclasses 1.0`" in done.err


def test_bytecode_is_used_as_it_is(warm: Rundlet, index: PackageIndex) -> None:
    index.add(
        Wheel("compiled", files={"compiled/__init__.py": "from compiled import inner\n", "compiled/inner.py": ""})
    )
    exec_with(warm, "compiled", run=("true",)).check(0)
    for _ in range(2):
        done = exec_with(warm, "compiled", run=("python3", "-v", "-c", "import compiled")).check(0)
        for name in ("__init__", "inner"):
            path = f"/env/lib/python3.11/site-packages/compiled/__pycache__/{name}.cpython-311.pyc"
            assert f"code object from '{path}'" in done.err
        assert "# wrote '/env" not in done.err


def test_a_file_that_does_not_compile(warm: Rundlet, index: PackageIndex) -> None:
    files = {
        "broken/__init__.py": "x = 1\n",
        "broken/template.py": "print 'hello {{ name }}'\n",
        "broken/bad.py": b"\xff\x00",
    }
    index.add(Wheel("broken", files=files))
    assert python(warm, "broken", code="import broken; print(broken.x)") == "1"


def test_the_best_wheel_is_taken(warm: Rundlet, index: PackageIndex) -> None:
    def built(tag: str, python_tag: str, abi: str, platform: str) -> None:
        files = {"tagged.py": f"tag = {tag!r}\n"}
        index.add(Wheel("tagged", files=files, python=python_tag, abi=abi, platform=platform))

    built("pure", "py3", "none", "any")
    built("abi3", "cp38", "abi3", "manylinux_2_17_x86_64")
    built("musl", "cp311", "cp311", "musllinux_1_2_x86_64")
    built("free-threaded", "cp313", "cp313t", "manylinux_2_17_x86_64")
    assert python(warm, "tagged", code="import tagged; print(tagged.tag)") == "abi3"
    run = ("python3", "-c", "import tagged; print(tagged.tag)")
    assert warm.ok("exec", "--image", "python-3.13", "--with", "tagged", "--", *run).out == "abi3\n"
    built("exact", "cp311", "cp311", "manylinux_2_17_x86_64")
    run = ("python3", "-c", "import tagged; print(tagged.tag)")
    assert warm.ok("exec", *IMAGE, "--upgrade", "--with", "tagged", "--", *run).out == "exact\n"


def test_a_wheel_for_another_platform_only(warm: Rundlet, index: PackageIndex) -> None:
    index.add(module("musl-only", python="cp311", abi="cp311", platform="musllinux_1_2_x86_64"))
    error = exec_with(warm, "musl-only").check(125).err
    assert "musl-only" in error
    assert "platform tag" in error or "musllinux" in error


def test_extras_and_markers(warm: Rundlet, index: PackageIndex) -> None:
    for name in ("always-here", "windows-only", "new-python", "from-extra"):
        index.add(module(name))
    requires = [
        "always-here",
        'windows-only; sys_platform == "win32"',
        'new-python; python_version >= "3.13"',
        'from-extra; extra == "standard"',
    ]
    index.add(module("conditional", requires=requires, extras=["standard"]))
    code = "from importlib.metadata import distributions; print(*sorted(d.name for d in distributions()))"
    assert python(warm, "conditional", code=code) == "always-here conditional"
    assert python(warm, "conditional[standard]", code=code) == "always-here conditional from-extra"
    given = "windows-only; sys_platform == 'win32'"
    assert python(warm, "always-here", given, code=code) == "always-here"


def test_child_processes_have_the_environment(warm: Rundlet, index: PackageIndex) -> None:
    index.add(module("inherited"))
    code = """
        import concurrent.futures, multiprocessing, subprocess, sys
        def version(_=None):
            import inherited
            return inherited.__version__
        if __name__ == "__main__":
            program = "import inherited; print(inherited.__version__)"
            for command in ([sys.executable], [sys.executable, "-I"], ["python"], ["/usr/bin/env", "python3", "-I"]):
                print(subprocess.check_output([*command, "-c", program], text=True).strip())
            context = multiprocessing.get_context("spawn")
            with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
                print(pool.submit(version).result())
            with context.Pool(1) as pool:
                print(pool.map(version, [None])[0])
    """
    run = ("sh", "-c", "cat >/tmp/main.py && exec python /tmp/main.py")
    done = exec_with(warm, "inherited", run=run, input=textwrap.dedent(code)).check(0)
    assert done.out.split() == ["1.0"] * 6


def test_the_images_own_packages_are_not_visible(warm: Rundlet, index: PackageIndex) -> None:
    own = (
        "/usr/lib/python3/dist-packages:/usr/local/lib/python3.11/dist-packages:/usr/local/lib/python3.11/site-packages"
    )
    index.add(module("alone"))
    code = f"""
        import sys
        print([path for path in sys.path if path in {own!r}.split(":")])
        print(sys.flags.no_site, [p for p in sys.path if p.endswith("-packages")])
    """
    out = python(warm, "alone", code=code).splitlines()
    assert out == ["[]", "0 ['/env/lib/python3.11/site-packages']"]


def test_python_says_that_it_lies_in_env(warm: Rundlet, index: PackageIndex) -> None:
    index.add(module("asker"))
    code = """
        import site, sys, sysconfig
        print(sys.executable, sys.prefix, *site.getsitepackages())
        print(*(sysconfig.get_path(name) for name in ("purelib", "platlib", "scripts", "data")))
        print(sys.base_prefix == sys.prefix)
    """
    site = "/env/lib/python3.11/site-packages"
    out = python(warm, "asker", code=code).splitlines()
    assert out[0].startswith(f"/env/bin/python3 /env {site}")  # Debian's Python adds places below /env
    assert all(word.startswith("/env") for word in out[0].split())
    assert out[1:] == [f"{site} {site} /env/bin /env", "False"]


def test_writes_beside_itself(warm: Rundlet, index: PackageIndex) -> None:
    index.add(
        Wheel(
            "writes-caches",
            files={
                "writes_caches.py": """
import os, pathlib
def cache(folder):
    folder = pathlib.Path(folder).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cached").write_text("x")
    return (folder / "cached").read_text()
def beside():
    pathlib.Path(__file__).with_name("written.txt").write_text("x")
"""
            },
        )
    )
    folders = ("~/.cache/numba", "~/.config/matplotlib", "~/nltk_data", "~/.cache")
    code = f"import writes_caches; print(*(writes_caches.cache(name) for name in {folders!r}))"
    assert python(warm, "writes-caches", code=code) == "x x x x"
    run = ("python3", "-c", "import writes_caches; writes_caches.beside()")
    assert "Read-only file system" in exec_with(warm, "writes-caches", run=run).check(1).err
    # With a writable layer it may; the next command does not see it.
    look = "; import os; print(os.path.exists('/env/lib/python3.11/site-packages/written.txt'))"
    run = ("python3", "-c", "import writes_caches; writes_caches.beside()" + look)
    options = ("--with", "writes-caches", "--writable-env")
    assert warm.ok("exec", *IMAGE, *options, "--", *run).out == "True\n"
    assert warm.ok("exec", *IMAGE, *options, "--", "python3", "-c", look[2:]).out == "False\n"


def test_another_build_of_the_same_python(
    rundlet: Rundlet, index: PackageIndex, small_image: object, image_official: object
) -> None:
    rundlet.ok("image", "import", "python-3.11", small_image, timeout=300)
    rundlet.ok("image", "import", "other-3.11", image_official, timeout=300)
    path = index.add(module("rebuilt"))
    python(rundlet, "rebuilt", code="import rebuilt")
    packages, lowers = entries(rundlet, "packages"), entries(rundlet, "lowers")
    run = ("python3", "-c", "import rebuilt, os; print(os.path.exists(rebuilt.__cached__))")
    assert rundlet.ok("exec", "--image", "other-3.11", "--with", "rebuilt", "--", *run).out == "True\n"
    assert index.count(path) == 1
    assert entries(rundlet, "packages") == packages
    assert len(entries(rundlet, "lowers") - lowers) == 1
