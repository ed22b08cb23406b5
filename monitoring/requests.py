"""django-prometheus' count of requests, with the one of its labels bounded that a client can fill at will."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django_prometheus.middleware import PrometheusAfterMiddleware


class CountedRequests(PrometheusAfterMiddleware):  # type: ignore[misc]
    """Latency by view has the method as it was sent; all others of that package's metrics have a known one."""

    def label_metric(self, metric: Any, request: HttpRequest, response: Any = None, **labels: Any) -> Any:
        if "method" in labels:
            labels["method"] = self._method(request)
        return super().label_metric(metric, request, response, **labels)
