"""Rules that are wrong in one place, which promtool's tests must notice."""

import dataclasses
import re

import promql


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A rule with one change."""

    original: object
    rule: object
    what: str


COMPARISONS = {">": ["<", ">="], "<": [">", "<="], ">=": ["<", ">"], "<=": [">", "<"], "==": ["!="]}
OPERATORS = {"/": ["*"], "-": ["+"]}
WORDS = {"and": ["or", "unless"], "or": ["and"], "unless": ["and"], "sum": ["max"], "max": ["sum", "min"], "min": ["max"]}
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def mutants(rule):
    """Every one of a rule: of its expression, and of how long and how loud it is."""
    for what, expr in expressions(rule.expr):
        if expr != rule.expr:
            yield Mutant(rule, dataclasses.replace(rule, expr=expr), what)
    if not rule.alert:
        return
    for seconds in [0, rule.for_ * 2] if rule.for_ else [300]:
        yield Mutant(rule, dataclasses.replace(rule, for_=seconds), "for: %d s" % seconds)
    for seconds in [0, rule.keep_firing_for * 2] if rule.keep_firing_for else [900]:
        yield Mutant(rule, dataclasses.replace(rule, keep_firing_for=seconds), "keep_firing_for: %d s" % seconds)
    louder = {"critical": "warning"}.get(rule.labels["severity"], "critical")
    yield Mutant(rule, dataclasses.replace(rule, labels={**rule.labels, "severity": louder}), "severity: " + louder)


def expressions(expr):
    """(what was changed, the changed expression)."""
    yield "always", "vector(1)"
    yield "never", "vector(1) > 1"
    before, tokens = "", promql.tokens(expr)
    for position, (kind, text) in enumerate(tokens):
        after = "".join(later for _, later in tokens[position + 1 :])
        for change in changes(kind, text):
            yield "%s at %d: %s" % (text, len(before), change or "left out"), before + change + after
        before += text


def changes(kind, text):
    """What may stand in a token's place."""
    if kind == "operator":
        return COMPARISONS.get(text, []) + OPERATORS.get(text, [])
    if kind == "word":
        return WORDS.get(text, [])
    if kind == "number" and text[-1] in SECONDS:
        return durations(text)
    if kind == "number":
        number = float(text)
        return ["1"] if number == 0 else ["%g" % (number * 1.5), "%g" % (number / 1.5)]
    if kind == "range":
        return ["[%s]" % duration for duration in durations(text.strip("[]"))]
    if kind == "selector":
        matchers = promql.matchers(text)
        return ["{%s}" % ", ".join(matchers[:left] + matchers[left + 1 :]) for left in range(len(matchers))]
    if kind == "grouping":
        word, labels = re.fullmatch(r"(\w+)\s*\(([^)]*)\)", text).groups()
        labels = [label.strip() for label in labels.split(",") if label.strip()]
        return ["%s (%s)" % (word, ", ".join(labels[:left] + labels[left + 1 :])) for left in range(len(labels))]
    return []


def durations(text):
    """A longer and a shorter one than this."""
    amount, unit = re.fullmatch(r"(\d+)([smhd])", text).groups()
    seconds = int(amount) * SECONDS[unit]
    return ["%ds" % (seconds * 2), "%ds" % (seconds // 2)]
