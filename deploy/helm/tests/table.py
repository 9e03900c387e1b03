"""The README's table of values, made of values.yaml.

A documented value is a line `key: value` behind a comment line `# -- what it is`. Every value is
documented, and is written on one line, so that no YAML parser is needed.
"""
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
VALUES = os.path.join(HERE, "..", "values.yaml")
README = os.path.join(HERE, "..", "README.md")
BEGIN = "<!-- values: made of values.yaml by deploy/helm/check --write-table -->\n"
END = "<!-- end of values -->\n"

LINE = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z][A-Za-z0-9]*):(?: (?P<value>\S.*))?$")


class Mistake(Exception):
    """values.yaml is not written as the table needs it."""


def rows(text):
    """(path, default, meaning) of every value, in their order."""
    found, path, about = [], [], None
    for number, line in enumerate(text.splitlines(), 1):
        comment = re.match(r"^ *# -- (.*)$", line)
        if comment:
            about = comment.group(1)
            continue
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = LINE.match(line)
        if not match:
            raise Mistake("values.yaml:%d: neither a key nor a comment: %s" % (number, line))
        depth = len(match["indent"]) // 2
        path = path[:depth] + [match["key"]]
        if match["value"] is None:
            if about is not None:
                raise Mistake("values.yaml:%d: what has keys of its own needs no meaning" % number)
            continue
        if about is None:
            raise Mistake("values.yaml:%d: %s has no meaning (# -- ...)" % (number, ".".join(path)))
        found.append((".".join(path), match["value"], about))
        about = None
    return found


def markdown(text):
    """The table."""
    lines = ["| value | default | meaning |", "|---|---|---|"]
    for path, default, about in rows(text):
        cells = ["`%s`" % path, "`%s`" % default, about]
        lines.append("| %s |" % " | ".join(cell.replace("|", "\\|") for cell in cells))
    return "\n".join(lines) + "\n"


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def current():
    """The README's table as it is, and as it should be."""
    readme = read(README)
    begin, end = readme.index(BEGIN) + len(BEGIN), readme.index(END)
    return readme[begin:end].strip() + "\n", markdown(read(VALUES))


def write():
    readme = read(README)
    begin, end = readme.index(BEGIN) + len(BEGIN), readme.index(END)
    with open(README, "w", encoding="utf-8") as file:
        file.write(readme[:begin] + "\n" + markdown(read(VALUES)) + "\n" + readme[end:])
