"""Grafana's JSON, from what a dashboard's description says.

Panels are laid out from left to right in the order in which they are described; a description gives widths and no
positions. Every query goes to the data source that the dashboard's variable names.
"""

# The schema of Grafana 12.0; later versions migrate it when they load it.
SCHEMA_VERSION = 41
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24

# Units that Grafana has no name for: written after the number as they are.
ORDERS, ATTEMPTS = "suffix:orders/s", "suffix:attempts/s"
GREEN, YELLOW, ORANGE, RED, BLUE = "green", "yellow", "orange", "red", "blue"


def query(expr, legend="", instant=False, table=False, heatmap=False):
    """One query of a panel. `legend` is Grafana's: {{label}} is replaced."""
    return {"expr": " ".join(expr.split()), "legend": legend, "instant": instant, "table": table, "heatmap": heatmap}


def steps(base, *bounds):
    """Thresholds: a colour, then (value, colour) pairs in ascending order."""
    return [{"color": base, "value": None}] + [{"color": color, "value": value} for value, color in bounds]


# What means the same on every dashboard: a job or a queue that is chosen on one is none of another's.
KEPT = "&".join("${%s:queryparam}" % name for name in ["datasource", "namespace"])


def link(title, uid):
    """A panel's link to another dashboard, for the same time, data source and namespaces."""
    return {"title": title, "url": "/d/%s?${__url_time_range}&%s" % (uid, KEPT), "targetBlank": False}


def linked(dashboards):
    """The dashboards, each with links to all others, for the same time, data source and namespaces."""
    return [dict(one, links=[link_at_top(other) for other in dashboards if other is not one]) for one in dashboards]


def link_at_top(other):
    return {
        "type": "link",
        "title": other["title"].removeprefix("Fleet: "),
        "tooltip": other["description"],
        "icon": "dashboard",
        "url": "/d/%s?%s" % (other["uid"], KEPT),
        "tags": [],
        "asDropdown": False,
        "includeVars": False,
        "keepTime": True,
        "targetBlank": False,
    }


def stat(title, description, unit, queries, thresholds, width=4, height=4, links=(), decimals=None, mappings=(), no_value="0"):
    """A number, coloured by its thresholds; `no_value` is shown where there is no series."""
    defaults = {
        "unit": unit,
        "color": {"mode": "thresholds"},
        "thresholds": {"mode": "absolute", "steps": thresholds},
        "mappings": list(mappings),
        "noValue": no_value,
    }
    if decimals is not None:
        defaults["decimals"] = decimals
    options = {
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "showPercentChange": False,
        "textMode": "auto",
        "wideLayout": True,
    }
    return panel("stat", title, description, queries, defaults, options, width, height, links)


def timeseries(
    title,
    description,
    unit,
    queries,
    width=12,
    height=8,
    thresholds=None,
    links=(),
    stacked=False,
    bars=False,
    minimum=0,
    maximum=None,
    decimals=None,
    overrides=(),
):
    """Lines over time, or bars; `thresholds` are drawn as lines."""
    custom = {
        "drawStyle": "bars" if bars else "line",
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "fillOpacity": 60 if bars else (30 if stacked else 8),
        "gradientMode": "none",
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "axisPlacement": "auto",
        "thresholdsStyle": {"mode": "dashed" if thresholds else "off"},
    }
    defaults = {
        "unit": unit,
        "color": {"mode": "palette-classic"},
        "custom": custom,
        "thresholds": {"mode": "absolute", "steps": thresholds or steps(GREEN)},
        "mappings": [],
    }
    if minimum is not None:
        defaults["min"] = minimum
    if maximum is not None:
        defaults["max"] = maximum
    if decimals is not None:
        defaults["decimals"] = decimals
    options = {
        "legend": {"showLegend": True, "displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel("timeseries", title, description, queries, defaults, options, width, height, links, overrides)


def heatmap(title, description, unit, expr, width=12, height=8, links=()):
    """A histogram's buckets over time; `expr` keeps the label le, and `unit` is its unit."""
    defaults = {"custom": {"scaleDistribution": {"type": "linear"}, "hideFrom": {"legend": False, "tooltip": False, "viz": False}}}
    options = {
        "calculate": False,
        "cellGap": 1,
        "cellValues": {"unit": "short"},
        "color": {
            "mode": "scheme",
            "scheme": "Oranges",
            "fill": "dark-orange",
            "scale": "exponential",
            "exponent": 0.5,
            "steps": 64,
            "reverse": False,
        },
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "tooltip": {"mode": "single", "showColorScale": False, "yHistogram": True},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit},
    }
    return panel("heatmap", title, description, [query(expr, "{{le}}", heatmap=True)], defaults, options, width, height, links)


def table(title, description, unit, queries, columns, width=12, height=8, thresholds=None, links=(), hidden=()):
    """Labels as columns; `columns` renames them, {label: heading}, and says their order."""
    defaults = {
        "unit": unit,
        "color": {"mode": "thresholds"},
        "custom": {"align": "auto", "cellOptions": {"type": "color-text" if thresholds else "auto"}, "inspect": False},
        "thresholds": {"mode": "absolute", "steps": thresholds or steps(GREEN)},
        "mappings": [],
    }
    options = {"cellHeight": "sm", "showHeader": True}
    queries = [dict(one, instant=True, table=True) for one in queries]
    made = panel("table", title, description, queries, defaults, options, width, height, links)
    organize = {
        "excludeByName": {name: True for name in ("Time", "__name__", *hidden)},
        "indexByName": {name: position for position, name in enumerate(columns)},
        "renameByName": dict(columns),
    }
    made["transformations"] = [{"id": "merge", "options": {}}, {"id": "organize", "options": organize}]
    return made


def panel(kind, title, description, queries, defaults, options, width, height, links=(), overrides=()):
    """What every kind of panel has."""
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": dict(DATASOURCE),
        "gridPos": {"w": width, "h": height},
        "fieldConfig": {"defaults": defaults, "overrides": list(overrides)},
        "options": options,
        "links": list(links),
        "targets": [target(position, one) for position, one in enumerate(queries)],
    }


def target(position, one):
    """A query as a panel has it."""
    made = {
        "datasource": dict(DATASOURCE),
        "editorMode": "code",
        "expr": one["expr"],
        "format": "table" if one["table"] else ("heatmap" if one["heatmap"] else "time_series"),
        "instant": one["instant"],
        "legendFormat": one["legend"] or "__auto",
        "range": not one["instant"],
        "refId": chr(ord("A") + position),
    }
    return made


def row(title, *panels):
    """A row's heading and its panels."""
    return {"title": title, "panels": list(panels)}


def datasource_variable():
    return {
        "name": "datasource",
        "label": "Data source",
        "description": "The Prometheus that scrapes the fleet.",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
        "refresh": 1,
        "regex": "",
        "skipUrlSync": False,
    }


def query_variable(name, label, description, values, anything=True):
    """A variable of what `values`, a label_values(...), finds.

    All of them means anything, no label at all included; or, without `anything`, only those that were found.
    """
    return {
        "name": name,
        "label": label,
        "description": description,
        "type": "query",
        "datasource": dict(DATASOURCE),
        "definition": values,
        "query": {"query": values, "refId": "variable", "qryType": 1},
        "allValue": ".*" if anything else None,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "hide": 0,
        "includeAll": True,
        "multi": True,
        "options": [],
        "refresh": 2,
        "regex": "",
        "skipUrlSync": False,
        "sort": 1,
    }


def number_variable(name, label, description, value):
    """A number that the viewer can change."""
    return {
        "name": name,
        "label": label,
        "description": description,
        "type": "textbox",
        "query": value,
        "current": {"selected": True, "text": value, "value": value},
        "hide": 0,
        "options": [{"selected": True, "text": value, "value": value}],
        "skipUrlSync": False,
    }


def annotation(name, expr, color, title, text, enabled=True):
    """Marks on every time axis, wherever `expr` has a value."""
    return {
        "name": name,
        "datasource": dict(DATASOURCE),
        "enable": enabled,
        "hide": False,
        "iconColor": color,
        "target": {"editorMode": "code", "expr": " ".join(expr.split()), "interval": "60s", "refId": "Anno"},
        "titleFormat": title,
        "textFormat": text,
        "tagKeys": "",
        "useValueForTime": False,
    }


def dashboard(uid, title, description, variables, annotations, rows):
    """A whole dashboard."""
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["fleet"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "fiscalYearStartMonth": 0,
        "graphTooltip": 1,
        "liveNow": False,
        "preload": False,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "weekStart": "",
        "links": [],
        "annotations": {"list": [builtin_annotation(), *annotations]},
        "templating": {"list": [datasource_variable(), *variables]},
        "panels": laid_out(rows),
    }


def builtin_annotation():
    return {
        "name": "Annotations & Alerts",
        "builtIn": 1,
        "datasource": {"type": "grafana", "uid": "-- Grafana --"},
        "enable": True,
        "hide": True,
        "iconColor": "rgba(0, 211, 255, 1)",
        "type": "dashboard",
    }


def laid_out(rows):
    """Gives every panel its id and its place."""
    panels, top = [], 0
    for described in rows:
        panels.append(
            {
                "type": "row",
                "title": described["title"],
                "collapsed": False,
                "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1},
                "panels": [],
            }
        )
        top += 1
        left, tallest = 0, 0
        for one in described["panels"]:
            width, height = one["gridPos"]["w"], one["gridPos"]["h"]
            if left + width > COLUMNS:
                left, top, tallest = 0, top + tallest, 0
            panels.append(dict(one, gridPos={"x": left, "y": top, "w": width, "h": height}))
            left, tallest = left + width, max(tallest, height)
        top += tallest
    return [dict(one, id=number) for number, one in enumerate(panels, start=1)]
