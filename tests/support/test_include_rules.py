"""The folders' dependency rules (docs/adr/0001): a file includes only what stands below its folder."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# folder -> folders whose headers its files may include
RULES = {
    "src/base": {"base"},
    "src/store": {"base", "store"},
    "runtime": {"base", "runtime"},
    "rootfs": {"base", "store", "rootfs", "runtime/mount_plan.h", "runtime/sandbox_spec.h"},
    "plans": {"base", "plans"},
    "src/engine": {"base", "store", "runtime", "rootfs", "plans", "engine"},
    "src/cli": {"base", "store", "runtime", "rootfs", "plans", "engine", "cli"},
}
OURS = {"base", "store", "runtime", "rootfs", "plans", "engine", "cli"}
THIRD_PARTY = re.compile(r"#include <(nlohmann|cereal|CLI|archive|curl|sqlite3|seccomp|toml|nettle)")


def sources(folder: str) -> list[Path]:
    return [path for kind in ("*.h", "*.cc") for path in (ROOT / folder).rglob(kind)]


def test_every_folder_includes_only_what_it_may() -> None:
    wrong = []
    for folder, allowed in RULES.items():
        found = sources(folder)
        assert found, folder
        for path in found:
            for name in re.findall(r'^#include "([^"]+)"', path.read_text(), re.MULTILINE):
                first = name.split("/")[0]
                if first in OURS and first not in allowed and name not in allowed:
                    wrong.append(f"{path.relative_to(ROOT)} includes {name}")
    assert wrong == []


def test_third_party_headers_stay_out_of_our_headers() -> None:
    wrong = []
    for folder in RULES:
        for path in sources(folder):
            if path.suffix == ".h":
                for line in path.read_text().splitlines():
                    if THIRD_PARTY.match(line) and "json_fwd" not in line:
                        wrong.append(f"{path.relative_to(ROOT)}: {line}")
    assert wrong == []
