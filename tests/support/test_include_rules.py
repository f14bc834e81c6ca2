"""The folders' dependency rules (docs/adr/0001): a file includes only what stands below its folder.

A room is a folder of sources. RULES says which rooms' headers each room may use, besides its own. The rooms of one
floor list are in order: each may use those before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST_SOURCES = 30  # of a folder of ours

# What the engine's side of rootfs and the workers, which look at hostile bytes, both may see.
BORDER = {"base", "base/json", "rootfs/formats"}
SPEC = {"runtime/spec"}
STORE = {"base", "base/json", "store"}
ROOTFS = ["rootfs", "rootfs/net", "rootfs/images", "rootfs/requirements", "rootfs/packages"]
PLANS = ["plans", "plans/read", "plans/plan", "plans/show"]
RUNTIME = {"runtime", "runtime/spec", "runtime/cgroup"}
DATA = {"data/history", "data/tables"}
ENGINE = [
    "engine/core",
    "engine/sandbox",
    "engine/images",
    "engine/packages",
    "engine/locks",
    "engine/project",
    "engine/command",
    "engine/run",
    "engine/upkeep",
]
BELOW_ENGINE = STORE | {"rootfs/formats"} | set(ROOTFS) | set(PLANS) | RUNTIME | DATA
CLI = ["cli", "cli/terminal", "cli/options", "cli/commands"]


def floors(rooms: list[str], below: set[str]) -> dict[str, set[str]]:
    return {room: below | set(rooms[:number]) for number, room in enumerate(rooms)}


RULES: dict[str, set[str]] = {
    "base": set(),
    "base/json": {"base"},
    "store": {"base", "base/json"},
    "runtime/spec": {"base"},
    "runtime/cgroup": {"base"} | SPEC,
    "runtime/seccomp": set(),
    "runtime/child": {"base", "runtime/seccomp"} | SPEC,
    "runtime/launcher": {"base", "runtime/seccomp", "runtime/cgroup", "runtime/child"} | SPEC,
    "runtime": {"base", "runtime/cgroup"} | SPEC,
    "runtime/probes": {"base", "runtime/seccomp", "runtime/cgroup", "runtime/child", "runtime/launcher", "runtime"}
    | SPEC,
    "rootfs/formats": {"base", "base/json"},
    **floors(ROOTFS, STORE | {"rootfs/formats"} | SPEC),
    "rootfs/worker": BORDER,
    "rootfs/worker/archives": BORDER | {"rootfs/worker"},
    "rootfs/worker/wheels": BORDER | {"rootfs/worker", "rootfs/worker/archives"},
    "rootfs/worker/http": BORDER | {"rootfs/worker"},
    "rootfs/worker/servers": BORDER | {"rootfs/worker", "rootfs/worker/http"},
    **floors(PLANS, {"base", "base/json"}),
    "data/history": STORE,
    "data/tables": STORE,
    **floors(ENGINE, BELOW_ENGINE),
    **floors(CLI, {"base", "base/json"} | DATA | set(ENGINE)),
}
# Single headers that a room may use of one it may not.
BESIDE: dict[str, set[str]] = {
    "runtime/launcher": {"runtime/network_namespace.h"},
    "rootfs/formats": {"runtime/spec/sandbox_spec.h"},
    "engine/core": {"engine/packages/bytecode.h"},  # engine.cc makes the engine of its parts
    "cli": {  # main.cc
        "cli/options/choice.h",
        "cli/options/own_scope.h",
        "cli/terminal/interrupt.h",
        "cli/terminal/output.h",
        "runtime/launcher.h",
    },
    "cli/options": {
        "rootfs/formats/reference.h",
        "rootfs/formats/registry_login.h",
        "rootfs/images/registry_config.h",
        "runtime/cgroup/engine_groups.h",
    },
    "cli/commands": {
        "plans/show/explain.h",
        "rootfs/formats/distribution.h",
        "rootfs/images/image.h",
        "rootfs/packages/package.h",
        "runtime/cgroup/engine_groups.h",
        "runtime/probes/kernel_features.h",
    },
}
# Header of a third-party library -> the files that may include it: a room, or a file.
LIBRARIES: dict[str, set[str]] = {
    "archive": set(),
    "cereal/": {"runtime/spec"},
    "CLI/": {"cli", "cli/commands", "cli/options"},
    "curl/": {"rootfs/worker/http"},
    "isa-l": {"rootfs/worker/archives/gzip.cc"},
    "libmount": set(),
    "nettle/": {"base/base64.cc", "base/digest.cc"},
    "seccomp": {"runtime/seccomp/compile.cc"},
    "sqlite3": {"store/catalog.cc"},
    "sys/capability": set(),
    "toml++/": {"rootfs/worker/wheels/parse_toml.cc"},
    "zlib": {"rootfs/worker/archives"},
    "zstd": {"rootfs/worker/archives/zstd.cc"},
}


def folder_of(room: str) -> Path:
    outer = room.split("/")[0]
    return ROOT / (room if outer in ("runtime", "rootfs", "plans") else f"src/{room}")


def sources(room: str) -> list[Path]:
    return sorted(path for kind in ("*.h", "*.cc") for path in folder_of(room).glob(kind))


def includes() -> Iterator[tuple[str, Path, str]]:
    """Room, file, and what it includes of ours."""
    for room in RULES:
        for path in sources(room):
            for name in re.findall(r'^#include "([^"]+)"', path.read_text(), re.MULTILINE):
                yield room, path, name


def test_every_folder_of_sources_is_a_room() -> None:
    outer = ("src", "runtime", "rootfs", "plans")
    found = {path.parent for name in outer for kind in ("*.h", "*.cc") for path in (ROOT / name).rglob(kind)}
    assert found == {folder_of(room) for room in RULES}


def test_every_room_includes_only_what_it_may() -> None:
    wrong = []
    for room, path, name in includes():
        used = str(Path(name).parent)
        generated = name.endswith("_program.h")
        if used != room and used not in RULES[room] and name not in BESIDE.get(room, set()) and not generated:
            wrong.append(f"{path.relative_to(ROOT)} includes {name}")
    assert wrong == []


def test_what_stands_beside_the_rules_is_needed() -> None:
    used = {(room, name) for room, _, name in includes()}
    assert {(room, name) for room, names in BESIDE.items() for name in names} <= used


def third_party() -> Iterator[tuple[Path, str]]:
    """File, and what it includes of others."""
    for room in RULES:
        for path in sources(room):
            for name in re.findall(r"^#include <([^>]+)>", path.read_text(), re.MULTILINE):
                yield path, name


def test_third_party_libraries_stay_behind_their_files() -> None:
    wrong = []
    for path, name in third_party():
        for library, places in LIBRARIES.items():
            file = str(path.relative_to(ROOT)).removeprefix("src/")
            if re.match(re.escape(library) + r"(\.h|(?<=/)|_|$)", name) and not {file, str(Path(file).parent)} & places:
                wrong.append(f"{file} includes {name}")
    assert wrong == []


def test_third_party_headers_stay_out_of_our_headers() -> None:
    library = re.compile("|".join(re.escape(name) for name in ("nlohmann/", *LIBRARIES)))
    assert [
        f"{path.relative_to(ROOT)} includes {name}"
        for path, name in third_party()
        if path.suffix == ".h" and library.match(name) and "json_fwd" not in name
    ] == []


def test_no_folder_is_a_hall() -> None:
    ours = [ROOT / name for name in ("src", "runtime", "rootfs", "plans", "python", "bench", "scripts", "tests")]
    kinds = {".h", ".cc", ".c", ".py"}
    halls = []
    for top in ours:
        for folder in [top, *(path for path in top.rglob("*") if path.is_dir() and "corpus" not in path.parts)]:
            count = sum(path.suffix in kinds for path in folder.iterdir() if path.is_file())
            if count > MOST_SOURCES:
                halls.append(f"{folder.relative_to(ROOT)}: {count}")
    assert halls == []
