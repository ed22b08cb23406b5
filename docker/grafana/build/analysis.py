"""Prediction analysis, from the records: how many, of which versions, which classes, which values."""

from __future__ import annotations

from typing import Any

from panels import HALF, THIRD, THIS_RECORD, WHOLE, Text, bars, behind, behind_each, box, figure, rows, series
from panels import page as frame
from queries import (
    VERSION,
    average,
    documents,
    first_instance,
    histogram,
    over_time,
    prom,
    rate,
    records,
    spread,
    terms,
)

VALUES = "values.number"
NO_VALUES = "No such values in this time"


def page() -> Any:
    says = "What was predicted, from the stored records: numbers, versions, classes and the values of each side."
    sections = {"Numbers": numbers(), "Classes": classes(), "Values": values(), "Records": newest()}
    extra = [
        box(
            "output",
            "Output",
            "*",
            "Name of the output whose values are spread out, like probabilities.setosa; * is all.",
        ),
        box("width", "Bar width", "0.1", "Width of one bar of the distribution of output values."),
    ]
    return frame("serving-predictions", "Prediction analysis", says, sections, extra=extra)


def numbers() -> list[Any]:
    by_version = [terms("model", identifier="2"), terms("version", identifier="3"), over_time()]
    return [
        series(
            Text("Predictions by model", "Stored records over time, per model."),
            records(
                terms("project", identifier="2"),
                terms("model", identifier="3"),
                over_time(),
                alias="{{term project}}/{{term model}}",
            ),
            unit="short",
            links=[behind(), behind_each("project", "model")],
            stacked=True,
        ),
        series(
            Text("Predictions by version", "Stored records over time, per version: shows traffic move with an alias."),
            records(*by_version, alias="{{term model}} {{term version}}"),
            unit="short",
            links=[behind(), behind_each("model", "version")],
            stacked=True,
        ),
        series(
            Text("Predictions by status", "Stored records over time by how they ended."),
            records(terms("status", identifier="2"), over_time(), alias="{{term status}}"),
            unit="short",
            links=[behind(), behind_each("status")],
            span=THIRD,
            stacked=True,
        ),
        series(
            Text("Predictions by door", "Answered at once (online) or accepted for later (queued)."),
            records(terms("door", identifier="2"), over_time(), alias="{{term door}}"),
            unit="short",
            links=[behind(), behind_each("door")],
            span=THIRD,
            stacked=True,
        ),
        series(
            Text("Instances per prediction", "Mean number of rows that one request asked about."),
            records(terms("model", identifier="2"), over_time(), metrics=average("rows"), alias="{{term model}}"),
            unit="short",
            links=[behind(), behind_each("model")],
            span=THIRD,
        ),
    ]


def classes() -> list[Any]:
    output = first_instance("values.side:output AND _exists_:values.text", label="output")
    text = terms("values.text", identifier="5", size=20)
    medians = rate("serving_output_values_bucket", VERSION, by="le, project, model, version, output")
    each = [terms("model", identifier="2", size=5), terms("version", identifier="6", size=5)]
    return [
        bars(
            Text("Predicted classes", "How often each text was the answer for the first instance of a request."),
            records(*output, text),
            by="values.text",
            unit="short",
            links=[behind()],
        ),
        rows(
            Text("Classes by version", "The same per model and version: compare a new version with the one before."),
            records(*each, *output, text),
            unit="short",
            links=[behind()],
            span=HALF,
        ),
        series(
            Text("Classes over time", "Recorded instances per second by their class, every one of a request's."),
            prom(rate("serving_predicted_classes_total", VERSION, by="class"), "{{class}}"),
            unit="ops",
            links=[behind()],
            stacked=True,
        ),
        series(
            Text(
                "Median output", "Half of the recorded numbers lie below, by version and name of the output.", NO_VALUES
            ),
            prom(f"histogram_quantile(0.5, {medians}) > -Inf", "{{model}} {{version}} {{output}}"),
            unit="short",
            links=[behind(), behind_each("project", "model", "version")],
        ),
    ]


def values() -> list[Any]:
    output = first_instance(
        "values.side:output AND values.name:${output:raw} AND _exists_:values.number", label="output"
    )
    return [
        bars(
            Text(
                "Distribution of output values",
                "First instances by output value, in bars of the chosen width.",
                NO_VALUES,
            ),
            records(*output, histogram(VALUES, identifier="5", interval="$width")),
            by=VALUES,
            unit="short",
            links=[behind()],
            span=WHOLE,
        ),
        *(
            rows(
                Text(
                    f"{side.capitalize()} values",
                    f"Number, mean, range and quantiles of each {side} of first instances.",
                    NO_VALUES,
                ),
                records(
                    *first_instance(f"values.side:{side} AND _exists_:values.number", label=side),
                    terms("values.name", identifier="5", size=50),
                    metrics=spread(VALUES),
                ),
                unit="short",
                links=[behind()],
                span=HALF,
            )
            for side in ("output", "input")
        ),
    ]


def newest() -> list[Any]:
    shown = "accepted_at project model version status door rows total_ms request_id id"
    return [
        figure(
            Text("From the cache", "Share of stored predictions that were answered from the cache."),
            records(over_time(), metrics=average("cached")),
            unit="percentunit",
            links=[behind()],
        ),
        rows(
            Text(
                "Newest predictions",
                "The newest hundred records; a row's link opens the record with inputs and outputs.",
            ),
            documents(),
            unit="string",
            links=[behind(), THIS_RECORD],
            span=20,
            shown=shown,
        ),
    ]
