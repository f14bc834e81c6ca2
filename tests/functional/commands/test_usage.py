"""Wrong usage: said as every error is, with what there would be to say; exit code 2."""

from __future__ import annotations

import re

import pytest

from support.rundlet import Rundlet

COMMANDS = ("run", "plan", "exec", "shell", "lock", "image", "package", "table", "runs", "gc", "doctor")
# As help shows an option that takes one of a few words.
CHOICE = re.compile(r"(--[a-z-]+) ([a-z]+(?:\|[a-z]+)+)")


def choices(driver: Rundlet) -> set[tuple[str, str, str]]:
    """Command (or nothing), option and words of each option with a few words for values."""
    found = {("", *one) for one in CHOICE.findall(driver.ok("--help").out)}
    for command in COMMANDS:
        found |= {(command, *one) for one in CHOICE.findall(driver.ok(command, "--help").out)}
    return found


def test_words_that_an_option_does_not_have(rundlet: Rundlet) -> None:
    found = choices(rundlet)
    assert found == {
        ("", "--output", "text|json"),
        ("exec", "--composition", "overlay|binds"),
        ("shell", "--composition", "overlay|binds"),
    }
    for command, option, words in found:
        for wrong in ("foo", "0", "", "Text", "overlay,binds"):
            done = rundlet(*filter(None, (command or "doctor",)), option, wrong).check(2)
            allowed = "`, `".join(words.split("|"))
            assert done.err == f"error: reading `{option} {wrong}`\ncaused by: it is none of `{allowed}`\n"
            assert done.out == ""
    assert rundlet("doctor", "-o", "foo").check(2).err.startswith("error: reading `--output foo`\n")


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("run", "--bogus"), "--bogus"),
        (("table", "head"), "TABLE is required"),
        (("table", "head", "x", "--rows", "0"), "--rows"),
        (("gc", "--unused-for", "30"), "--unused-for"),
        (("gc", "--max-bytes", "much"), "--max-bytes"),
        (("package", "prune"), "--unused-for or --max-bytes is required"),
        (("exec", "--bogus\x1b[31m", "--", "true"), "--bogus"),
        ((), "subcommand"),
    ],
    ids=str,
)
def test_other_words(rundlet: Rundlet, words: tuple[str, ...], cause: str) -> None:
    done = rundlet(*words).check(2)
    head, told, hint, rest = done.err.split("\n")
    assert (head, rest) == ("error: reading the command line", "")
    assert told.startswith("caused by: ")
    assert cause in told
    assert "\x1b" not in told
    assert hint == "hint: `rundlet --help` lists the commands, `rundlet COMMAND --help` what one takes"
