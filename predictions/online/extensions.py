"""Extensions of the Open Inference Protocol beside inference: the repository, statistics and configuration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from models_registry import errors, snapshot
from models_registry.models import ModelVersion, RegisteredModel
from models_registry.principals import Principal
from models_registry.routing import Version
from predictions.online import coalescing, counting, statistics
from predictions.online.statistics import Statistics, Took
from predictions.online.views import OipView, place_of
from predictions.protocols import oip, oip_extensions, strict_json

#: Seconds a load waits for the model to be warm here.
LOAD_WAIT_S = 10.0

#: Largest body of a call to the repository; models come in through `/api/models`.
MOST_BYTES = 2**20


class Config(OipView):
    @extend_schema(responses={200: dict[str, Any]}, tags=["v2"])
    def get(self, request: Request, rest: str) -> Response:
        """The configuration of a model, or of one version of it."""
        place = place_of(rest)
        version = snapshot.find(snapshot.principal_of(request), place.name, place.wanted).version
        gathers = coalescing.pays(version.row_cost_s)
        return Response(oip_extensions.config(version, row_limit=settings.SERVING["ROW_LIMIT"], gathers=gathers))


class AllStats(OipView):
    @extend_schema(operation_id="v2_all_stats_retrieve", responses={200: dict[str, Any]}, tags=["v2"])
    def get(self, request: Request) -> Response:
        """What the server process that answers did for each version that the key may use, since it started."""
        principal = snapshot.principal_of(request)
        return Response({"model_stats": [_stats(version) for version in _versions_of(principal)]})


class Stats(OipView):
    @extend_schema(responses={200: dict[str, Any]}, tags=["v2"])
    def get(self, request: Request, rest: str) -> Response:
        """What the server process that answers did for one version, or all versions, of a model since it started."""
        place = place_of(rest)
        principal = snapshot.principal_of(request)
        if place.wanted is not None:
            found = [snapshot.find(principal, place.name, place.wanted).version]
        else:
            versions = snapshot.entry(principal, place.name).versions
            found = [versions[number] for number in sorted(versions)]
            if not found:
                raise errors.NotFound(f"Model {place.name} not found")
        return Response({"model_stats": [_stats(version) for version in found]})


class Index(OipView):
    scopes: ClassVar[dict[str, str | None]] = {"POST": "read"}

    @extend_schema(request=dict[str, Any], responses={200: list[dict[str, str]]}, tags=["v2"])
    def post(self, request: Request) -> Response:
        """Every ready version of the project, and whether it is loaded here; `{"ready": true}`: only those."""
        asked = strict_json.object_of(_body(request), allowed=frozenset(("ready",)))
        ready = asked.get("ready")
        if ready is not None and not isinstance(ready, bool):
            raise errors.InvalidInput("ready must be true or false", field="ready")
        found = [
            oip_extensions.index_entry(row.model.name, row.number, _reason(row))
            for row in _rows(snapshot.principal_of(request))
        ]
        return Response([entry for entry in found if entry["state"] == "READY" or not ready])


class Load(OipView):
    scopes: ClassVar[dict[str, str | None]] = {"POST": "manage"}

    @extend_schema(request=dict[str, Any], responses={200: None}, tags=["v2"])
    def post(self, request: Request, name: str) -> HttpResponse:
        """Let a model answer again, and wait until the versions that its aliases name are loaded here."""
        principal = snapshot.principal_of(request)
        model = _model(principal, name)
        if any(key == "config" or key.startswith("file:") for key in _parameters(request)):
            raise errors.InvalidInput("a version is not configured by loading it: publish one at /api/models")
        model.serve(True, who=principal.key)
        entries = snapshot.refresh(wait=LOAD_WAIT_S).entries
        entry = entries.get((principal.project, model.name))
        if entry is not None:
            for number in sorted(set(entry.aliases.values()) & entry.versions.keys()):
                snapshot.predictor(entry.versions[number])
        return HttpResponse(content_type="application/json")


class Unload(OipView):
    scopes: ClassVar[dict[str, str | None]] = {"POST": "manage"}

    @extend_schema(request=dict[str, Any], responses={200: None}, tags=["v2"])
    def post(self, request: Request, name: str) -> HttpResponse:
        """Let no version of a model answer, in every process, until it is loaded again; accepted work is finished."""
        principal = snapshot.principal_of(request)
        model = _model(principal, name)
        _parameters(request)
        model.serve(False, who=principal.key)
        snapshot.refresh(wait=0)
        return HttpResponse(content_type="application/json")


class Absent(OipView):
    """Parts of the protocol that this server does not have, and says so."""

    scopes: ClassVar[dict[str, str | None]] = {"GET": None, "POST": None}

    @extend_schema(exclude=True)
    def get(self, request: Request, **_: str) -> Response:
        raise errors.NotOffered("this server has no settings of traces and logs, and no shared memory")

    @extend_schema(exclude=True)
    def post(self, request: Request, **_: str) -> Response:
        raise errors.NotOffered("this server has no settings of traces and logs, and no shared memory")


def _body(request: Request) -> Any:
    """The JSON body; clients may send none at all."""
    raw = bytes(request._request.body)
    if len(raw) > MOST_BYTES:
        raise errors.TooLarge(f"the body is larger than the limit of {MOST_BYTES} bytes")
    return strict_json.loads(raw) if raw.strip() else {}


def _parameters(request: Request) -> Any:
    document = strict_json.object_of(_body(request), allowed=frozenset(("parameters",)))
    return oip.parameters_of(document, "parameters")


def _model(principal: Principal, name: str) -> RegisteredModel:
    """The principal's model by name, also one that is unloaded; raises as `snapshot.entry` does."""
    place = place_of(name)
    if place.wanted is not None:
        raise errors.NotFound(f"Model {name[:100]} not found: models are loaded, not versions")
    plain = snapshot.entry(principal, place.name).name
    found = RegisteredModel.objects.filter(project_id=principal.project_id, name=plain).first()
    if found is None:
        raise errors.NotFound(f"Model {name[:100]} not found")
    return found


def _rows(principal: Principal) -> Iterator[ModelVersion]:
    rows = ModelVersion.objects.filter(
        model__project_id=principal.project_id, status=ModelVersion.Status.READY
    ).select_related("model")
    if principal.models is not None:
        rows = rows.filter(model__name__in=principal.models)
    yield from rows.order_by("model__name", "number").iterator(chunk_size=1000)


def _reason(row: ModelVersion) -> str:
    """Why a version would not answer at once; empty when it is loaded."""
    if not row.model.is_served:
        return "unloaded"
    version = snapshot.current().versions.get(row.pk)
    if version is not None and snapshot.is_warm(version):
        return ""
    return snapshot.unloadable().get(row.pk, "is loaded when it is asked for")


def _versions_of(principal: Principal) -> Iterator[Version]:
    for (project, name), entry in sorted(snapshot.current().entries.items()):
        if project == principal.project and (principal.models is None or name in principal.models):
            yield from (entry.versions[number] for number in sorted(entry.versions))


def _stats(version: Version) -> dict[str, Any]:
    counting.settle()
    found: Statistics = statistics.of(version)
    parts = {
        **{"success": found.success, "fail": found.fail, "queue": found.queue},
        **{"compute_input": found.decode, "compute_infer": found.infer, "compute_output": found.encode},
        **{"cache_hit": found.hit, "cache_miss": found.miss},
    }
    return {
        "name": version.model,
        "version": str(version.number),
        "last_inference": round(found.last_at * 1000),
        "inference_count": found.rows,
        "execution_count": found.runs.count,
        "inference_stats": {name: oip_extensions.took(part.count, part.seconds) for name, part in parts.items()},
        "batch_stats": [_batch(size, found.sizes[size]) for size in sorted(found.sizes)],
    }


def _batch(size: int, took: Took) -> dict[str, Any]:
    nothing = oip_extensions.took(took.count, 0.0)
    infer = oip_extensions.took(took.count, took.seconds)
    return {"batch_size": size, "compute_input": nothing, "compute_infer": infer, "compute_output": nothing}
