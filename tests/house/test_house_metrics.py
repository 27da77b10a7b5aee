"""relay/observe/README.md tells every metric; every metric is one that promtool and people accept."""

import re

from house.documents import ROOT, check_block
from prometheus_client.metrics import MetricWrapperBase

from relay.observe import metrics

METRICS = [value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]


def name(metric) -> str:
    return metric._name + ("_total" if metric._type == "counter" else "")


def labels(metric) -> str:
    """The labels with their values, which are known from the start, but for the engines that are configured."""
    names = metric._labelnames
    told = [
        f"`{name}`: {', '.join(dict.fromkeys(key[place] for key in metric._metrics))}"
        for place, name in enumerate(names)
    ]
    if "engine" in names:
        told[names.index("engine")] = "`engine`: each configured engine"
    if "kind" in names and "engine" in names:
        told[names.index("kind")] = f"`kind`: {', '.join(metrics.VERDICTS)}"
    return "; ".join(told)


def written() -> str:
    rows = [f"| `{name(metric)}` | {metric._type} | {metric._documentation} | {labels(metric)} |" for metric in METRICS]
    return "\n".join(["| metric | type | meaning | labels |", "|---|---|---|---|", *rows]) + "\n"


def test_every_metric_is_in_the_readme_as_it_is():
    check_block(ROOT / "relay/observe/README.md", "metrics", written())


def test_names_and_texts_are_well_formed():
    for metric in METRICS:
        assert re.fullmatch(r"sluice_[a-z_]+", name(metric))
        assert metric._documentation.endswith(".")
        assert re.search("_(seconds|bytes|total|timestamp_seconds)$", name(metric)) or metric._type == "gauge"


def test_children_exist_from_the_start():
    for metric in METRICS:
        if metric._labelnames and "engine" not in metric._labelnames:
            assert metric._metrics, name(metric)


def test_gauges_say_how_workers_are_summed():
    for metric in METRICS:
        if metric._type == "gauge":
            assert metric._multiprocess_mode != "all", name(metric)
