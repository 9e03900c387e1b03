"""One panel of a picture, drawn by matplotlib as Grafana would draw it, about."""

import dataclasses
import math
import re
import textwrap

from matplotlib.ticker import FuncFormatter, MaxNLocator

import drawn

COLORS = {"green": "#2f9e44", "yellow": "#e0a800", "orange": "#e8590c", "red": "#c92a2a", "blue": "#1971c2"}
GREY, DARK, PALE = "#868e96", "#495057", "#dee2e6"
TIMES = [(86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs")]
SIZES = [(1e9, "B"), (1e6, "M"), (1e3, "K"), (1, "")]
SUFFIXES = {"reqps": " req/s", "mps": " msg/s", "ops": " ops/s"}


@dataclasses.dataclass(frozen=True)
class Time:
    """What is shown, in seconds since the epoch, and (time, colour) of what is marked in it."""

    began: float
    ended: float
    marks: list

    def seconds(self):
        return self.ended - self.began


class Panel:
    """What a panel shows, in the axes that are its box."""

    def __init__(self, box, panel, shown, time):
        self.box, self.panel, self.shown, self.time, self.began = box, panel, shown, time, time.began
        heat = panel["type"] == "heatmap"
        self.defaults = panel["fieldConfig"]["defaults"]
        self.unit = panel["options"]["yAxis"]["unit"] if heat else self.defaults["unit"]
        self.lines = panel["gridPos"]["h"]

    def draw(self):
        getattr(self, self.panel["type"])()

    def inner(self, bottom):
        """Axes in the box, above a share of it that is left free."""
        narrow = 1.1 / self.panel["gridPos"]["w"]
        axes = self.box.inset_axes([narrow, bottom, 0.985 - narrow, 1 - bottom - 1.15 / self.lines])
        axes.tick_params(labelsize=7, colors=DARK, length=2)
        axes.grid(color="#e9ecef", linewidth=0.6)
        axes.set_xlim(0, self.time.seconds())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: "%d:%02d" % divmod(at, 60)))
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        return axes

    def say(self, words, axes=None):
        axes = axes or self.box
        axes.text(0.5, 0.5, words, transform=axes.transAxes, color=GREY, fontsize=8, ha="center", va="center")

    def why_not(self):
        """What is said where no query has found anything."""
        reasons = {drawn.NOTHING.get(one.name()) for one in self.shown} - {None}
        return textwrap.fill("no data" + "".join(": " + reason for reason in sorted(reasons)), 50)

    def color(self, value):
        """By the thresholds."""
        steps = self.defaults["thresholds"]["steps"]
        (now,) = [step["color"] for step in steps if step["value"] is None or value >= step["value"]][-1:]
        return COLORS[now]

    def text(self, value):
        for mapping in self.defaults.get("mappings", ()):
            known = mapping["options"].get("%g" % value)
            if known:
                return known["text"]
        return text(value, self.unit, self.defaults.get("decimals"))

    def stat(self):
        points = [point for one in self.shown for _, of in one.series for point in of if math.isfinite(point[1])]
        middle = {"ha": "center", "va": "center"}
        if not points:
            self.box.text(0.5, 0.45, self.defaults["noValue"], fontsize=15, color=GREY, **middle)
            return
        now = points[-1][1]
        color = self.color(now)
        self.box.text(0.5, 0.45, self.text(now), fontsize=22, color=color, weight="bold", **middle)
        if len(points) > 1:
            under = self.box.inset_axes([0, 0, 1, 0.3])
            under.axis("off")
            times, values = zip(*points)
            under.fill_between(times, values, color=color, alpha=0.25, linewidth=0)
            under.set_ylim(0, max(*values, 1e-9))

    def legend_of(self, one, labels):
        return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), one.target["legendFormat"]).strip()

    def timeseries(self):
        found = [(self.legend_of(one, labels), points) for one in self.shown for labels, points in one.series]
        found = [(name, points) for name, points in found if any(math.isfinite(value) for _, value in points)]
        axes = self.inner((1.0 + 0.42 * min(math.ceil(len(found) / 2), 8)) / self.lines)
        if not found:
            axes.set_yticks([])
            self.say(self.why_not(), axes)
            return
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: text(value, self.unit)))
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=self.defaults.get("decimals") == 0))
        below = {}
        for name, points in found:
            finite = [value for _, value in points if math.isfinite(value)]
            label = "%s   %s, max %s" % (name, text(finite[-1], self.unit), text(max(finite), self.unit))
            self.line(axes, label, points, below)
        low, high = axes.get_ylim()
        axes.set_ylim(self.defaults.get("min", low), self.defaults.get("max", high if high > 0 else 1))
        self.thresholds(axes)
        for at, color in self.time.marks:
            axes.axvline(at - self.began, color=color, linestyle=":", linewidth=1)
        entries = axes.get_legend_handles_labels()
        self.box.legend(*entries, loc="lower left", ncols=2, fontsize=6.5, frameon=False, borderaxespad=0.3)

    def line(self, axes, label, points, below):
        """One series; `below` is what stacked ones before it come to."""
        custom = self.defaults["custom"]
        xs = [at - self.began for at, _ in points]
        ys = [value for _, value in points]
        if custom["stacking"]["mode"] == "normal":
            lows = [below.get(x, 0) for x in xs]
            ys = [low + (y if math.isfinite(y) else 0) for low, y in zip(lows, ys)]
            below.update(zip(xs, ys))
            (line,) = axes.plot(xs, ys, linewidth=1, label=label)
            axes.fill_between(xs, lows, ys, color=line.get_color(), alpha=0.3, linewidth=0)
        elif custom["drawStyle"] == "bars":
            axes.bar(xs, ys, width=1, alpha=0.6, label=label)
        else:
            axes.plot(xs, ys, linewidth=1.2, label=label)

    def thresholds(self, axes):
        """Those that the axis reaches."""
        if self.defaults["custom"]["thresholdsStyle"]["mode"] == "off":
            return
        for step in self.defaults["thresholds"]["steps"][1:]:
            if step["value"] <= axes.get_ylim()[1]:
                axes.axhline(step["value"], color=COLORS[step["color"]], linestyle="--", linewidth=1)

    def heatmap(self):
        axes = self.inner(0.7 / self.lines)
        buckets = sorted((float(labels["le"]), dict(points)) for one in self.shown for labels, points in one.series)
        if not buckets:
            axes.set_yticks([])
            self.say(self.why_not(), axes)
            return
        times = sorted({at for _, points in buckets for at in points})
        # A bucket has what those below it have.
        cells, before = [], dict.fromkeys(times, 0)
        for _, points in buckets:
            now = {at: points.get(at, math.nan) for at in times}
            cells.append([max(now[at] - before[at], 0) or math.nan for at in times])
            before = now
        edges = [at - self.began for at in times] + [times[-1] - self.began + 1]
        axes.pcolormesh(edges, range(len(buckets) + 1), cells, cmap="Oranges", vmin=0)
        bounds = [text(bound, self.unit) if math.isfinite(bound) else "more" for bound, _ in buckets]
        axes.set_yticks(range(1, len(buckets) + 1), bounds, fontsize=6)

    def table(self):
        organize = self.panel["transformations"][1]["options"]
        columns = organize["renameByName"]
        hidden = {name for name, is_hidden in organize["excludeByName"].items() if is_hidden}
        found = []
        for one in self.shown:
            found += [{**labels, "Value": self.text(points[-1][1])} for labels, points in one.series]
        if not found:
            self.say(self.why_not())
            return
        there = {name for row in found for name in row} - hidden
        names = [name for name in columns if name in there] + sorted(there - columns.keys())
        cells = [[row.get(name, "") for name in names] for row in found[:16]]
        height = min(0.84, 0.09 * (len(cells) + 1))
        titles = [columns.get(name, name) for name in names]
        made = self.box.table(cells, colLabels=titles, cellLoc="left", bbox=[0.02, 0.86 - height, 0.96, height])
        made.auto_set_font_size(False)
        made.set_fontsize(7)
        for cell in made.get_celld().values():
            cell.set_edgecolor(PALE)


def text(value, unit, decimals=None):
    """A value as Grafana writes it, about."""
    if not math.isfinite(value):
        return "-"
    if unit == "percentunit":
        return "%.*f%%" % (1 if decimals is None else decimals, 100 * value)
    size, name = 1, ""
    if unit == "s":
        size, name = next(((size, " " + name) for size, name in TIMES if abs(value) >= size), (1, " s"))
    elif unit != "none":
        size, name = next((step for step in SIZES if abs(value) >= step[0]), (1, ""))
    number = "%.3g" % (value / size) if decimals is None else "%.*f" % (decimals, value / size)
    suffix = " " + unit.removeprefix("suffix:") if unit.startswith("suffix:") else SUFFIXES.get(unit, "")
    return number + name + suffix
