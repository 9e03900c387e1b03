"""Prometheus' text format, as far as its samples go."""
import re

# Braces within a label's quotes do not end the labels; what follows a # is an exemplar.
LINE = re.compile(
    r'^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>(?:[^"}]|"(?:\\.|[^"\\])*")*)\})?'
    r"\s+(?P<value>[^\s#]+)(?:\s+-?\d+)?(?:\s+#.*)?$"
)
LABEL = re.compile(r'\s*([a-zA-Z_]\w*)\s*=\s*"((?:\\.|[^"\\])*)"\s*(?:,|$)')
ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


def parse(text):
    """The samples of a scrape: (name, labels, value)."""
    samples = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = LINE.match(line.strip())
        if not found:
            raise ValueError("line %d is no sample: %r" % (number, line))
        samples.append((found["name"], labels(found["labels"] or "", number), float(found["value"])))
    return samples


def labels(text, number):
    found, position = {}, 0
    while position < len(text):
        label = LABEL.match(text, position)
        if not label:
            raise ValueError("line %d has no labels at %r" % (number, text[position:]))
        found[label[1]] = re.sub(r'\\[\\"n]', lambda escape: ESCAPES[escape[0]], label[2])
        position = label.end()
    return found


def total(samples, name, **wanted):
    """The sum of a metric's samples with these labels; none when there is no such sample."""
    values = [
        value for sample, has, value in samples
        if sample == name and all(has.get(label) == text for label, text in wanted.items())
    ]
    return sum(values) if values else None
