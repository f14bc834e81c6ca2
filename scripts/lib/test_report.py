#!/usr/bin/env python3
"""Counts one suite from its JUnit files and checks its skips against the list of allowed ones.

    test_report.py --suite NAME --allowed FILE --status N [--required] XML...

Appends `NAME passed failed skipped` to the file that RUNDLET_TEST_COUNTS names. A suite counts one
failure in each of these cases: it ended with an error status although no test failed, it is required
and ran nothing, or it skipped a test that it may not skip.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def allowed_patterns(path: Path) -> list[str]:
    if not path.exists():
        return []
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", required=True)
    parser.add_argument("--allowed", type=Path, required=True)
    parser.add_argument("--status", type=int, default=0)
    parser.add_argument("--required", action="store_true")
    parser.add_argument("files", type=Path, nargs="*")
    args = parser.parse_args()
    patterns = allowed_patterns(args.allowed)
    passed = failed = skipped = 0
    for path in args.files:
        if not path.exists():
            continue
        try:
            cases = list(ElementTree.parse(path).getroot().iter("testcase"))
        except ElementTree.ParseError as error:
            print(f"{args.suite}: `{path}` is no JUnit file: {error}", file=sys.stderr)
            failed += 1
            continue
        for case in cases:
            name = f"{args.suite}:{case.get('classname', '')}.{case.get('name', '')}"
            reason = case.find("skipped")
            if case.find("failure") is not None or case.find("error") is not None:
                failed += 1
                print(f"failed: {name}", file=sys.stderr)
            elif reason is not None or case.get("result") == "skipped" or case.get("status") == "notrun":
                skipped += 1
                if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
                    failed += 1
                    why = "" if reason is None else reason.get("message", "")
                    print(f"skipped and not in {args.allowed.name}: {name}: {why}", file=sys.stderr)
            else:
                passed += 1
    if args.required and passed + failed == 0:
        print(f"{args.suite}: no test ran", file=sys.stderr)
        failed += 1
    if args.status != 0 and failed == 0:
        print(f"{args.suite}: ended with status {args.status} but reports no failed test", file=sys.stderr)
        failed += 1
    with open(os.environ["RUNDLET_TEST_COUNTS"], "a", encoding="utf-8") as counts:
        counts.write(f"{args.suite} {passed} {failed} {skipped}\n")


if __name__ == "__main__":
    main()
