#!/usr/bin/env python3
"""Fails when man/bt-mount.1 and `bt-mount --help` do not name the same options, mount options and commands.

    tests/gate/man_page_test.py BT_MOUNT
"""

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "man" / "bt-mount.1"
COMMANDS = [[], ["status"], ["unmount"], ["demo"], ["cache", "list"], ["cache", "verify"], ["cache", "clear"]]


def help_of(program, command):
    done = subprocess.run([program, *command, "--help"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


def options_in_help(text):
    """What the list of options begins its lines with: "-f,--foreground", "--node TEXT", "-o TEXT"."""
    found = set()
    for line in text.splitlines():
        if line.startswith("  -"):
            found.update(re.findall(r"(?:^|,)(--?[a-zA-Z][a-z-]*)", line.split()[0]))
    return found


def words_in_help(text):
    """Mount options: the first column of the paragraph about them."""
    paragraph = text.split("\nMount options", 1)[1].split("\n\n", 1)[0]
    columns = [re.split(r" {2,}", line.strip())[0] for line in paragraph.splitlines()[1:]]
    return {re.sub(r"=.*", "", word) for column in columns for word in re.split(r"[, ]+", column) if word and word != "to"}


def plain(page):
    """The page without its mark-up."""
    lines = [line for line in page.splitlines() if not line.startswith('.\\"')]
    text = "\n".join(re.sub(r"^\.(TP|PP|nf|fi|br)$|^\.[A-Z]+ ", "", line) for line in lines)
    return re.sub(r"\\f.", "", text).replace("\\-", "-").replace('"', "")


def main():
    program = sys.argv[1]
    page = plain(PAGE.read_text(encoding="utf-8"))
    texts = {" ".join(command): help_of(program, command) for command in COMMANDS}
    helped = set().union(*(options_in_help(text) for text in texts.values()))
    named = set(re.findall(r"(?<![\w./[-])--?[a-zA-Z][a-z-]*", page))
    problems = [f"{option} is not in the page" for option in sorted(helped - named)]
    problems += [f"{option} is not in --help" for option in sorted(named - helped)]
    assert len(helped) > 15, helped  # else the help is not understood any more

    words = words_in_help(texts[""])
    assert len(words) > 15, words
    section = page.split("Mount options, as in", 1)[1].split("Stay in the foreground", 1)[0]
    page_words = {re.sub(r"=.*", "", word) for word in re.findall(r"[a-z_]+(?:=\S*)?", section)}
    problems += [f"-o {word} is not in the page" for word in sorted(words - page_words)]
    shown = {word.rstrip(",;.") for word in re.findall(r"\b[a-z_]+=", section)}
    problems += [f"-o {word} is not in --help" for word in sorted(shown - {word + "=" for word in words})]

    for command in re.findall(r"^  bt-mount ([a-z]+)", texts[""].split("Other commands", 1)[1].split("Examples", 1)[0], re.M):
        if not re.search(rf"\bbt-mount {command}\b", page):
            problems.append(f"bt-mount {command} is not in the page")

    print("\n".join(problems) or f"{len(helped)} options and {len(words)} mount options agree")
    sys.exit(1 if problems else 0)


main()
