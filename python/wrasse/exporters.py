"""``wrasse.metrics()`` for prometheus-client and OpenTelemetry.

Neither package is imported before its exporter is made: ``pip install
'wrasse[prometheus]'`` or ``'wrasse[opentelemetry]'`` brings it.
"""

from __future__ import annotations

from functools import partial

from wrasse import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from opentelemetry.metrics import CallbackOptions, Meter, Observation
    from prometheus_client import Metric


class PrometheusCollector:
    """A collector: ``prometheus_client.REGISTRY.register(PrometheusCollector())``."""

    def collect(self) -> Iterator[Metric]:
        """Each metric, as it is now."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        for name, kind, text, _, values in _core.metrics():
            labels = ["generation"] if values[0][0] else []
            family: CounterMetricFamily | GaugeMetricFamily
            if kind == "counter":
                family = CounterMetricFamily(name.removesuffix("_total"), text, labels=labels)
            else:
                family = GaugeMetricFamily(name, text, labels=labels)
            for generation, value in values:
                family.add_metric([generation] if generation else [], value)
            yield family

    def describe(self) -> list[Metric]:
        """Nothing: which parts are on may change."""
        return []


def _observe(name: str, options: CallbackOptions) -> Iterable[Observation]:
    from opentelemetry.metrics import Observation

    for each, _, _, _, values in _core.metrics():
        if each == name:
            for generation, value in values:
                yield Observation(value, {"generation": generation} if generation else {})


def observe_with_opentelemetry(meter: Meter) -> list[str]:
    """Make an observable instrument of a meter for each metric of the parts that are on.

    Their names are those of Prometheus with dots: ``wrasse.gc.pause_seconds`` stands for
    ``wrasse_gc_pause_seconds_total``. Returns the names.
    """
    names = []
    for name, kind, text, unit, _ in _core.metrics():
        dotted = ".".join(name.removesuffix("_total").split("_", 2))
        make = (
            meter.create_observable_counter if kind == "counter" else meter.create_observable_gauge
        )
        units = {"bytes": "By", "seconds": "s"}
        make(dotted, [partial(_observe, name)], unit=units.get(unit, ""), description=text)
        names.append(dotted)
    return names
