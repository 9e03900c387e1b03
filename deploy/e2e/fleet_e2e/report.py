"""What a check found: its figures, and what did not hold."""
import time


class Report:
    """One check's outcome. A figure is shown whether the check passes or not."""

    def __init__(self, name, clock=time.monotonic):
        self.name = name
        self.figures = []
        self.failures = []
        self._clock = clock
        self._began = clock()
        self.seconds = 0.0

    def figure(self, name, value):
        self.figures.append((name, value))
        print("  %s: %s" % (name, value), flush=True)

    def expect(self, holds, text):
        """Notes a failure unless `holds`; the check goes on, so that all its figures are seen."""
        if not holds:
            self.failures.append(text)
            print("  FAILED: " + text, flush=True)
        return holds

    def ended(self):
        self.seconds = self._clock() - self._began

    @property
    def passed(self):
        return not self.failures


def summary(reports):
    """The table at the end."""
    rows = []
    for report in reports:
        verdict = "pass" if report.passed else "FAIL"
        figures = ", ".join("%s %s" % figure for figure in report.figures)
        rows.append((report.name, verdict, "%.0f s" % report.seconds, figures))
    widths = [max(len(row[column]) for row in rows) for column in range(3)] if rows else [0, 0, 0]
    lines = []
    for report, row in zip(reports, rows):
        lines.append("%-*s  %-*s  %*s  %s" % (widths[0], row[0], widths[1], row[1], widths[2], row[2], row[3]))
        lines += ["%s  %s" % (" " * widths[0], first_line(text)) for text in report.failures]
    return "\n".join(line.rstrip() for line in lines)


def first_line(text):
    return text.strip().split("\n", 1)[0]


def seconds(value):
    return "%.1f s" % value
