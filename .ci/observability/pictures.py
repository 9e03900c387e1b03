"""Plain pictures of the dashboards, for people to look at: each panel at its place, with what its queries found.

    python pictures.py FOLDER    draws anew what `live` has kept there, with the descriptions as they are now
"""

import json
import math
import pathlib
import re
import sys
import textwrap

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FuncFormatter, MaxNLocator  # noqa: E402

import drawn  # noqa: E402
import support  # noqa: E402

COLUMNS, COLUMN, LINE = 24, 0.8, 0.42  # Grafana's grid; inches
COLORS = {"green": "#2f9e44", "yellow": "#e0a800", "orange": "#e8590c", "red": "#c92a2a", "blue": "#1971c2"}
GREY = "#868e96"
TIMES = [(86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs")]
SIZES = [(1e9, "B"), (1e6, "M"), (1e3, "K"), (1, "")]
SUFFIXES = {"reqps": " req/s", "mps": " msg/s", "ops": " ops/s"}


def keep(folder, shown, source):
    """Draws every dashboard, and keeps what it was drawn of."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    found = [[one.dashboard, one.panel["id"], one.target["refId"], one.series] for one in shown]
    kept = {"began": source.began, "ended": source.ended, "found": found}
    (folder / "shown.json").write_text(json.dumps(kept), encoding="utf-8")
    draw_all(folder, shown, source.began, source.ended)


def draw_all(folder, shown, began, ended):
    for file, dashboard in support.dashboards().items():
        name = file.removesuffix(".json")
        of_panel = {}
        for one in shown:
            if one.dashboard == name:
                of_panel.setdefault(one.panel["id"], []).append(one)
        draw(folder / (name + ".png"), dashboard, of_panel, began, ended)


def draw(path, dashboard, of_panel, began, ended):
    """One dashboard."""
    lines = 2 + max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in dashboard["panels"])
    size = COLUMNS * COLUMN, lines * LINE
    figure = plt.figure(figsize=size, facecolor="#f4f5f5")
    figure.text(0.01, 1 - 0.8 / lines, dashboard["title"], fontsize=16, weight="bold", va="center")
    figure.text(0.99, 1 - 0.8 / lines, "%d s of a test's traffic" % (ended - began), fontsize=9, color=GREY, ha="right", va="center")
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        left, top = place["x"] / COLUMNS, 1 - (place["y"] + 2) / lines
        if panel["type"] == "row":
            figure.text(left + 0.01, top - 0.55 / lines, panel["title"], fontsize=11, weight="bold", color="#495057", va="center")
            continue
        gap_x, gap_y = 0.06 / size[0], 0.06 / size[1]
        width, height = place["w"] / COLUMNS - 2 * gap_x, place["h"] / lines - 2 * gap_y
        box = figure.add_axes([left + gap_x, top - height - gap_y, width, height])
        box.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(0, 1))
        for spine in box.spines.values():
            spine.set_color("#dee2e6")
        box.text(0.5 / place["w"] * 0.4, 1 - 0.5 / place["h"], panel["title"], fontsize=9, weight="bold", va="center")
        Panel(box, panel, of_panel[panel["id"]], began, ended).draw()
    figure.savefig(path, dpi=70)
    plt.close(figure)


class Panel:
    """A panel's box, without its title."""

    def __init__(self, box, panel, shown, began, ended):
        self.box, self.panel, self.shown, self.began, self.ended = box, panel, shown, began, ended
        heat = panel["type"] == "heatmap"
        self.defaults = panel["fieldConfig"]["defaults"]
        self.unit = panel["options"]["yAxis"]["unit"] if heat else self.defaults["unit"]
        self.lines = panel["gridPos"]["h"]

    def draw(self):
        getattr(self, self.panel["type"])()

    def inner(self, bottom):
        """Axes in the box, above a share of it that is left free."""
        narrow = 0.45 / self.panel["gridPos"]["w"] * 2.2
        axes = self.box.inset_axes([narrow, bottom, 0.985 - narrow, 1 - bottom - 1.15 / self.lines])
        axes.tick_params(labelsize=7, colors="#495057", length=2)
        axes.grid(color="#e9ecef", linewidth=0.6)
        axes.set_xlim(0, self.ended - self.began)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: "%d:%02d" % divmod(at, 60)))
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        return axes

    def say(self, text, axes=None):
        (axes or self.box).text(0.5, 0.5, text, transform=(axes or self.box).transAxes, color=GREY, fontsize=8, ha="center", va="center")

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
        if not points:
            self.box.text(0.5, 0.45, self.defaults["noValue"], fontsize=15, color=GREY, ha="center", va="center")
            return
        value = points[-1][1]
        self.box.text(0.5, 0.45, self.text(value), fontsize=22, color=self.color(value), ha="center", va="center", weight="bold")
        if len(points) > 1:
            under = self.box.inset_axes([0, 0, 1, 0.3])
            under.axis("off")
            under.fill_between([at for at, _ in points], [one for _, one in points], color=self.color(value), alpha=0.25, linewidth=0)
            under.set_ylim(0, max(max(one for _, one in points), 1e-9))

    def legend_of(self, one, labels):
        return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), one.target["legendFormat"]).strip()

    def timeseries(self):
        found = [(self.legend_of(one, labels), points) for one in self.shown for labels, points in one.series]
        found = [(name, points) for name, points in found if any(math.isfinite(value) for _, value in points)]
        rows = math.ceil(len(found) / 2)
        axes = self.inner((1.0 + 0.42 * min(rows, 8)) / self.lines)
        custom = self.defaults["custom"]
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: text(value, self.unit)))
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=self.defaults.get("decimals") == 0))
        if not found:
            axes.set_yticks([])
            self.say(self.why_not(), axes)
            return
        stacked = custom["stacking"]["mode"] == "normal"
        below = {}
        for name, points in found:
            xs = [at - self.began for at, _ in points]
            ys = [value for _, value in points]
            latest = [value for value in ys if math.isfinite(value)]
            label = "%s   %s, max %s" % (name, text(latest[-1], self.unit), text(max(latest), self.unit))
            if stacked:
                lows = [below.get(x, 0) for x in xs]
                ys = [low + (y if math.isfinite(y) else 0) for low, y in zip(lows, ys)]
                below.update(zip(xs, ys))
                (line,) = axes.plot(xs, ys, linewidth=1, label=label)
                axes.fill_between(xs, lows, ys, color=line.get_color(), alpha=0.3, linewidth=0)
            elif custom["drawStyle"] == "bars":
                axes.bar(xs, ys, width=1, alpha=0.6, label=label)
            else:
                axes.plot(xs, ys, linewidth=1.2, label=label)
        low, high = axes.get_ylim()
        axes.set_ylim(self.defaults.get("min", low), self.defaults.get("max", high if high > 0 else 1))
        if custom["thresholdsStyle"]["mode"] != "off":
            for step in self.defaults["thresholds"]["steps"][1:]:
                if step["value"] <= axes.get_ylim()[1]:
                    axes.axhline(step["value"], color=COLORS[step["color"]], linestyle="--", linewidth=1)
        self.box.legend(*axes.get_legend_handles_labels(), loc="lower left", ncols=2, fontsize=6.5, frameon=False, borderaxespad=0.3)

    def heatmap(self):
        axes = self.inner(0.7 / self.lines)
        buckets = sorted((float(labels["le"]), dict(points)) for one in self.shown for labels, points in one.series)
        if not buckets:
            axes.set_yticks([])
            self.say(self.why_not(), axes)
            return
        times = sorted({at for _, points in buckets for at in points})
        cells, before = [], dict.fromkeys(times, 0)
        for _, points in buckets:
            now = {at: points.get(at, math.nan) for at in times}
            cells.append([max(now[at] - before[at], 0) or math.nan for at in times])
            before = now
        edges = [at - self.began for at in times] + [times[-1] - self.began + 1]
        axes.pcolormesh(edges, range(len(buckets) + 1), cells, cmap="Oranges", vmin=0)
        axes.set_yticks(range(1, len(buckets) + 1), [text(bound, self.unit) if math.isfinite(bound) else "more" for bound, _ in buckets], fontsize=6)

    def table(self):
        organize = self.panel["transformations"][1]["options"]
        hidden = {name for name, is_hidden in organize["excludeByName"].items() if is_hidden}
        found = []
        for one in self.shown:
            found += [{**labels, "Value": self.text(points[-1][1])} for labels, points in one.series]
        names = [name for name in organize["renameByName"] if name not in hidden and any(name in row for row in found)]
        if not found:
            self.say(self.why_not())
            return
        unknown = {name for row in found for name in row} - set(organize["renameByName"]) - hidden
        names += sorted(unknown)
        cells = [[row.get(name, "") for name in names] for row in found[:16]]
        titles = [organize["renameByName"].get(name, name) for name in names]
        made = self.box.table(cells, colLabels=titles, loc="upper left", cellLoc="left", bbox=[0.02, max(0.02, 0.86 - 0.09 * (len(cells) + 1)), 0.96, min(0.84, 0.09 * (len(cells) + 1))])
        made.auto_set_font_size(False)
        made.set_fontsize(7)
        for cell in made.get_celld().values():
            cell.set_edgecolor("#dee2e6")


def text(value, unit, decimals=None):
    """A value as Grafana writes it, about."""
    if not math.isfinite(value):
        return "-"
    if unit == "percentunit":
        return "%.*f%%" % (1 if decimals is None else decimals, 100 * value)
    steps = TIMES if unit == "s" else SIZES
    size, name = next(((size, name) for size, name in steps if abs(value) >= size), (1, "s" if unit == "s" else ""))
    if unit == "none":
        size, name = 1, ""
    suffix = " " + unit.removeprefix("suffix:") if unit.startswith("suffix:") else SUFFIXES.get(unit, "")
    number = "%.*f" % (decimals, value / size) if decimals is not None else "%.3g" % (value / size)
    return number + (" " + name if name and unit == "s" else name) + suffix


def main(folder):
    kept = json.loads((folder / "shown.json").read_text(encoding="utf-8"))
    panels = {(file.removesuffix(".json"), panel["id"]): panel for file, one in support.dashboards().items() for panel in support.panels(one)}
    shown = []
    for dashboard, number, ref, series in kept["found"]:
        panel = panels[dashboard, number]
        (target,) = [target for target in panel["targets"] if target["refId"] == ref]
        shown.append(drawn.Shown(dashboard, panel, target, series))
    draw_all(folder, shown, kept["began"], kept["ended"])


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
