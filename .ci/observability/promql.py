"""What an expression names. Enough of PromQL's grammar for that; Prometheus itself checks the rest."""

import re

STRING = r'"(?:[^"\\]|\\.)*"'
SELECTOR = r"\{(?:[^{}\"]|%s)*\}" % STRING
WORDS = {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left", "group_right"}

TOKEN = re.compile(
    r"""(?P<string>%s)
      | (?P<selector>%s)
      | (?P<range>\[[^\]]*\])
      | (?P<grouping>\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\))
      | (?P<number>\b\d+(?:\.\d+)?(?:e[+-]?\d+)?[smhdwy]?\b)
      | (?P<word>[A-Za-z_:][A-Za-z0-9_:]*)
      | (?P<operator>[<>=!]=|=~|!~|[<>+\-*/%%^(),@])
      | (?P<space>\s+)"""
    % (STRING, SELECTOR),
    re.X,
)


def tokens(expr):
    """(kind, text) pairs that make up the whole expression."""
    found, at = [], 0
    while at < len(expr):
        match = TOKEN.match(expr, at)
        if not match:
            raise ValueError("not understood at %r in %r" % (expr[at : at + 20], expr))
        found.append((match.lastgroup, match.group()))
        at = match.end()
    return found


def series(expr):
    """The metrics that it names, each with the labels that its selector asks for: [(metric, labels)]."""
    found = []
    significant = [token for token in tokens(expr) if token[0] != "space"]
    for position, (kind, text) in enumerate(significant):
        after = significant[position + 1] if position + 1 < len(significant) else ("", "")
        if kind != "word" or text in WORDS or after[1] == "(":
            continue
        # An aggregation's grouping may stand before its parenthesis.
        if after[0] == "grouping":
            continue
        labels = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", re.sub(STRING, '""', after[1])) if after[0] == "selector" else []
        found.append((text, labels))
    return found


def matchers(selector):
    """The matchers of a selector, as texts."""
    return re.findall(r"\w+\s*(?:=~|!~|!=|=)\s*" + STRING, selector)
