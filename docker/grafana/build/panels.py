"""What all dashboards share: the frame with its variables, the kinds of panels, the links to what lies behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import queries
from grafana_foundation_sdk.builders import barchart, bargauge, common, heatmap, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as frames
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models import dashboard

#: Where the product answers; a dashboard's text box "Server" changes it, also in its URL (`?var-site=`).
SITE = "http://127.0.0.1:8000"
REFRESH = "10s"
WHOLE, HALF, THIRD, QUARTER, SIXTH = 24, 12, 8, 6, 4
_RANGE = "since=${__from:date:iso}&until=${__to:date:iso}"
_COLUMN_UNITS = {"queue_ms": "ms", "inference_ms": "ms", "total_ms": "ms", "version": "none", "rows": "none"}
_GREEN, _ORANGE, _RED = "green", "orange", "red"


@dataclass(frozen=True, slots=True)
class Link:
    """A link from a panel: `path` on the product's own site. `each`: offered for each series or row."""

    title: str
    path: str
    each: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """What every panel tells: its title, what it shows and how to read it, and what stands there without data."""

    title: str
    says: str
    empty: str = "No predictions in this time"


def behind(title: str = "Records of this time", **conditions: str) -> Link:
    """All records of the dashboard's time; zooming into a spike narrows it."""
    return Link(title, _records(conditions))


def behind_each(*labels: str, **conditions: str) -> Link:
    """The records behind one series: its labels are conditions of the search. `code` is asked for as error_code."""
    named = {"error_code" if label == "code" else label: f"${{__field.labels.{label}}}" for label in labels}
    return Link("Records of this series", _records({**named, **conditions}), each=True)


def _records(conditions: dict[str, str]) -> str:
    return "/api/records?" + "&".join([_RANGE, *(f"{name}={value}" for name, value in conditions.items())])


QUEUED = Link("Queued predictions", "/admin/predictions/prediction/")
VERSIONS = Link("Model versions", "/admin/models_registry/modelversion/")
HEALTH = Link("Health report", "/health/ready")
METRICS = Link("Metrics of the web processes", "/metrics")
THIS_RECORD = Link("This record", "/api/records/${__data.fields.id}?project=${__data.fields.project}", each=True)


def series(text: Text, *targets: Any, unit: str, links: Sequence[Link], span: int = HALF, stacked: bool = False) -> Any:
    """Lines over time; stacked areas where the parts make a whole."""
    panel = _told(timeseries.Panel(), text, targets, unit=unit, links=links).span(span).height(8)
    legend = common.VizLegendOptions().show_legend(True).placement(looks.LegendPlacement.BOTTOM)
    panel = panel.legend(legend.display_mode(looks.LegendDisplayMode.TABLE).calcs(["mean", "max", "lastNotNull"]))
    tooltip = common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI).sort(looks.SortOrder.DESCENDING)
    panel = panel.tooltip(tooltip).line_width(1).fill_opacity(30 if stacked else 8).axis_soft_min(0)
    panel = panel.show_points(looks.VisibilityMode.AUTO)
    return panel.stacking(common.StackingConfig().mode(looks.StackingMode.NORMAL)) if stacked else panel


def figure(
    text: Text,
    *targets: Any,
    unit: str,
    links: Sequence[Link],
    limits: tuple[float, float] | None = None,
    falling: bool = False,
    span: int = SIXTH,
) -> Any:
    """One number with its course behind it. `limits` colour it orange and red from there on (`falling`: below)."""
    panel = _told(stat.Panel(), text, targets, unit=unit, links=links).span(span).height(5)
    reduce = common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)
    panel = panel.reduce_options(reduce).graph_mode(looks.BigValueGraphMode.AREA)
    panel = panel.color_mode(looks.BigValueColorMode.VALUE)
    return panel.thresholds(_thresholds(limits, falling=falling))


def ranking(text: Text, *targets: Any, unit: str, links: Sequence[Link], span: int = HALF) -> Any:
    """Bars of the last values, one per series."""
    panel = _told(bargauge.Panel(), text, targets, unit=unit, links=links).span(span).height(8)
    reduce = common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)
    panel = panel.reduce_options(reduce).orientation(looks.VizOrientation.HORIZONTAL)
    return panel.display_mode(looks.BarGaugeDisplayMode.BASIC).min(0).thresholds(_thresholds(None))


def bars(text: Text, target: Any, *, by: str, unit: str, links: Sequence[Link], span: int = HALF) -> Any:
    """A bar for each row of an aggregation, named by this column."""
    panel = _told(barchart.Panel(), text, [target], unit=unit, links=links).span(span).height(8)
    # The chart takes names of bars from texts only; the bounds of a histogram are numbers.
    names = {"conversions": [{"targetField": by, "destinationType": "string"}]}
    panel = panel.with_transformation(dashboard.DataTransformerConfig("convertFieldType", options=names))
    hidden = dashboard.DataTransformerConfig("organize", options={"excludeByName": {"filter": True}})
    panel = panel.with_transformation(hidden).x_field(by).show_value(looks.VisibilityMode.AUTO)
    legend = common.VizLegendOptions().show_legend(False).display_mode(looks.LegendDisplayMode.LIST)
    return panel.legend(legend).fill_opacity(70)


def rows(text: Text, *targets: Any, unit: str, links: Sequence[Link], span: int = WHOLE, shown: str = "") -> Any:
    """A table; `shown` names the columns that are kept, in order."""
    panel = _told(table.Panel(), text, targets, unit=unit, links=links).span(span).height(9).filterable(True)
    if shown:
        names = shown.split()
        kept = dashboard.DataTransformerConfig("filterFieldsByName", options={"include": {"names": names}})
        places = {name: place for place, name in enumerate(names)}
        placed = dashboard.DataTransformerConfig("organize", options={"indexByName": places})
        panel = panel.with_transformation(kept).with_transformation(placed)
        for name in names:
            if name in _COLUMN_UNITS:
                panel = panel.override_by_name(name, [dashboard.DynamicConfigValue("unit", _COLUMN_UNITS[name])])
    return panel


def heat(text: Text, *targets: Any, unit: str, links: Sequence[Link], span: int = HALF) -> Any:
    """Buckets of a histogram over time: the darker, the more."""
    panel = _told(heatmap.Panel(), text, targets, unit=unit, links=links).span(span).height(8)
    panel = panel.calculate(False).y_axis(heatmap.YAxisConfig().unit(unit))
    return panel.color(heatmap.HeatmapColorOptions().scheme("Oranges").steps(64)).show_legend()


def _told(panel: Any, text: Text, targets: Sequence[Any], *, unit: str, links: Sequence[Link]) -> Any:
    source = queries.PROMETHEUS if hasattr(targets[0], "expr") else queries.RECORDS
    panel = panel.title(text.title).description(text.says).no_value(text.empty).unit(unit).datasource(source)
    for name, target in zip("ABCDEFGH", targets, strict=False):
        panel = panel.with_target(target.ref_id(name))
    above, each = [link for link in links if not link.each], [link for link in links if link.each]
    return panel.links([_link(link) for link in above]).data_links([_link(link) for link in each])


def _link(link: Link) -> Any:
    opened = frames.DashboardLink(link.title).type(dashboard.DashboardLinkType.LINK).target_blank(True)
    return opened.url("${site}" + link.path)


def _thresholds(limits: tuple[float, float] | None, *, falling: bool = False) -> Any:
    colours = (_RED, _ORANGE, _GREEN) if falling else (_GREEN, _ORANGE, _RED)
    steps = [dashboard.Threshold(None, colours[0])]
    if limits is None:
        steps = [dashboard.Threshold(None, "blue")]
    else:
        steps += [dashboard.Threshold(limit, colour) for limit, colour in zip(limits, colours[1:], strict=True)]
    return frames.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)


def page(uid: str, title: str, says: str, sections: dict[str, list[Any]], *, extra: Sequence[Any] = ()) -> Any:
    """A dashboard of titled sections; every panel has the number of its place as id."""
    made = frames.Dashboard(title).uid(uid).description(says).tags(["serving-blueprint"]).editable()
    made = made.refresh(REFRESH).time("now-1h", "now").timezone("browser").tooltip(dashboard.DashboardCursorSync(1))
    others = frames.DashboardLink("Other dashboards").type(dashboard.DashboardLinkType.DASHBOARDS)
    made = made.link(others.tags(["serving-blueprint"]).as_dropdown(True).include_vars(True).keep_time(True))
    for variable in [*_variables(), *extra]:
        made = made.with_variable(variable)
    number = 0
    for heading, panels in sections.items():
        number += 1
        made = made.with_row(frames.Row(heading).id(number))
        for panel in panels:
            number += 1
            made = made.with_panel(panel.id(number))
    return made.build()


def _variables() -> list[Any]:
    """Project, model and version of what has been predicted, each within what is chosen before it."""
    return [
        _choice("project", "Project", "label_values(serving_predictions_total, project)"),
        _choice("model", "Model", 'label_values(serving_predictions_total{project=~"$project"}, model)'),
        _choice("version", "Version", f"label_values(serving_predictions_total{{{queries.MODEL}}}, version)"),
        box("site", "Server", SITE, "Address of the product, for the links to its records and admin."),
    ]


def _choice(name: str, label: str, query: str) -> Any:
    every = dashboard.VariableOption(True, ["All"], ["$__all"])
    choice = frames.QueryVariable(name).label(label).query(query).datasource(queries.PROMETHEUS)
    choice = choice.multi(True).include_all(True).current(every)
    choice = choice.description(f"{label} to look at; several may be chosen.")
    choice = choice.sort(dashboard.VariableSort.NUMERICAL_ASC if name == "version" else dashboard.VariableSort(5))
    return choice.refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)


def box(name: str, label: str, value: str, says: str) -> Any:
    """A variable that is typed."""
    standing = dashboard.VariableOption(True, value, value)
    return frames.TextBoxVariable(name).label(label).description(says).default_value(value).current(standing)
