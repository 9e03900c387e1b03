"""Plain pictures of the dashboards, for people to look at: each panel at its place, with what its queries found.

    python pictures.py FOLDER    draws anew what `live` has kept there, by the descriptions as they are now
"""

import json
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

import drawn  # noqa: E402
import panels  # noqa: E402
import support  # noqa: E402

COLUMNS, COLUMN, LINE = 24, 0.8, 0.42  # Grafana's grid; inches


def keep(folder, shown, source):
    """Draws every dashboard, and keeps what it was drawn of."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    found = [[one.dashboard, one.panel["id"], one.target["refId"], one.series] for one in shown]
    times = {"began": source.began, "ended": source.ended, "marks": source.marks()}
    (folder / "shown.json").write_text(json.dumps({"times": times, "found": found}), encoding="utf-8")
    draw_all(folder, shown, times)


def draw_all(folder, shown, times):
    for file, dashboard in support.dashboards().items():
        name = file.removesuffix(".json")
        of_panel = {}
        for one in shown:
            if one.dashboard == name:
                of_panel.setdefault(one.panel["id"], []).append(one)
        time = panels.Time(times["began"], times["ended"], times["marks"][name])
        draw(folder / (name + ".png"), dashboard, of_panel, time)


def draw(path, dashboard, of_panel, time):
    """One dashboard."""
    lines = 2 + max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in dashboard["panels"])
    figure = plt.figure(figsize=(COLUMNS * COLUMN, lines * LINE), facecolor="#f4f5f5")
    top = 1 - 0.8 / lines
    figure.text(0.01, top, dashboard["title"], fontsize=16, weight="bold", va="center")
    figure.text(0.99, top, "%d s of a test's traffic" % time.seconds(), color=panels.GREY, ha="right", va="center")
    for panel in dashboard["panels"]:
        box = box_of(figure, panel, lines)
        if panel["type"] != "row":
            panels.Panel(box, panel, of_panel[panel["id"]], time).draw()
    figure.savefig(path, dpi=70)
    plt.close(figure)


def box_of(figure, panel, lines):
    """A panel's place in a picture of so many lines, with its title."""
    place = panel["gridPos"]
    width, height = place["w"] / COLUMNS, place["h"] / lines
    gap_x, gap_y = 0.06 / (COLUMNS * COLUMN), 0.06 / (lines * LINE)
    left, bottom = place["x"] / COLUMNS, 1 - (place["y"] + 2) / lines - height
    box = figure.add_axes([left + gap_x, bottom + gap_y, width - 2 * gap_x, height - 2 * gap_y])
    box.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(0, 1))
    is_row = panel["type"] == "row"
    if is_row:
        box.set_axis_off()
    for spine in box.spines.values():
        spine.set_color(panels.PALE)
    size = 11 if is_row else 9
    box.text(0.2 / place["w"], 1 - 0.5 / place["h"], panel["title"], fontsize=size, weight="bold", va="center")
    return box


def main(folder):
    kept = json.loads((folder / "shown.json").read_text(encoding="utf-8"))
    described = {}
    for file, dashboard in support.dashboards().items():
        for panel in support.panels(dashboard):
            described[file.removesuffix(".json"), panel["id"]] = panel
    shown = []
    for dashboard, number, ref, series in kept["found"]:
        panel = described[dashboard, number]
        (target,) = [target for target in panel["targets"] if target["refId"] == ref]
        shown.append(drawn.Shown(dashboard, panel, target, series))
    draw_all(folder, shown, kept["times"])


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
