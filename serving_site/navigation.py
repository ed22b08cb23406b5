"""How the admin looks and what its sidebar leads to."""

from __future__ import annotations

from typing import Any

from django.templatetags.static import static
from django.urls import reverse_lazy


def _item(title: str, icon: str, link: str, permission: str = "", *, place: str = "") -> dict[str, Any]:
    """`place` is the one argument of the link's path, where it takes one."""
    item: dict[str, Any] = {"title": title, "icon": icon, "link": reverse_lazy(link, args=[place] if place else None)}
    if permission:
        item["permission"] = lambda request: request.user.has_perm(permission)
    return item


def _watch(title: str, icon: str, page: str) -> dict[str, Any]:
    return _item(title, icon, "watch", "monitoring.view_recordrow", place=page)


_TEAL = ["#f0fdfa", "#ccfbf1", "#99f6e4", "#5eead4", "#2dd4bf", "#14b8a6", "#0f766e", "#115e59", "#134e4a", "#0f3f3b"]
_STEPS = ["50", "100", "200", "300", "400", "500", "600", "700", "800", "900"]

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Serving Blueprint",
    "SITE_HEADER": "Serving Blueprint",
    "SITE_SUBHEADER": "Models, answers, records",
    "SITE_SYMBOL": "deployed_code",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("serving/icon.svg")},
    ],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "BORDER_RADIUS": "6px",
    "STYLES": [lambda request: static("serving/pages.css")],
    "COLORS": {"primary": {**dict(zip(_STEPS, _TEAL, strict=True)), "950": "#042f2e"}},
    "DASHBOARD_CALLBACK": "serving_site.dashboard.fill",
    "COMMAND": {"search_models": False, "show_history": False},
    "SIDEBAR": {
        "show_search": True,
        "command_search": True,
        "show_all_applications": False,
        "navigation": [
            {
                "title": "",
                "items": [_item("Overview", "dashboard", "admin:index")],
            },
            {
                "title": "Monitoring",
                "separator": True,
                "items": [
                    _watch("System", "monitor_heart", "overview"),
                    _watch("Prediction analysis", "bar_chart", "predictions"),
                    _watch("Performance", "speed", "performance"),
                    _watch("Errors", "error", "errors"),
                    _item("Records", "manage_search", "record-page", "monitoring.view_recordrow"),
                    _item("Log", "subject", "log-page", "monitoring.view_logrow"),
                    _watch("Status", "check_circle", "status"),
                ],
            },
            {
                "title": "Registry",
                "separator": True,
                "items": [
                    _item(
                        "Models",
                        "deployed_code",
                        "admin:models_registry_registeredmodel_changelist",
                        "models_registry.view_registeredmodel",
                    ),
                    _item(
                        "Versions",
                        "package_2",
                        "admin:models_registry_modelversion_changelist",
                        "models_registry.view_modelversion",
                    ),
                    _item(
                        "Aliases", "alt_route", "admin:models_registry_alias_changelist", "models_registry.view_alias"
                    ),
                    _item(
                        "History",
                        "history",
                        "admin:models_registry_deploymentevent_changelist",
                        "models_registry.view_deploymentevent",
                    ),
                ],
            },
            {
                "title": "Work",
                "separator": True,
                "items": [
                    _item(
                        "Predictions",
                        "bolt",
                        "admin:predictions_prediction_changelist",
                        "predictions.view_prediction",
                    ),
                    _item(
                        "Tasks",
                        "task_alt",
                        "admin:django_celery_results_taskresult_changelist",
                        "django_celery_results.view_taskresult",
                    ),
                ],
            },
            {
                "title": "Access",
                "separator": True,
                "items": [
                    _item(
                        "Projects",
                        "folder_open",
                        "admin:models_registry_project_changelist",
                        "models_registry.view_project",
                    ),
                    _item("Keys", "key", "admin:models_registry_apikey_changelist", "models_registry.view_apikey"),
                    _item(
                        "Erasures", "person_remove", "admin:monitoring_erasure_changelist", "monitoring.view_erasure"
                    ),
                    _item("Users", "person", "admin:auth_user_changelist", "auth.view_user"),
                    _item("Groups", "group", "admin:auth_group_changelist", "auth.view_group"),
                ],
            },
            {
                "title": "Interfaces",
                "separator": True,
                "items": [
                    _item("API documentation", "menu_book", "docs"),
                    _item("Browsable API", "api", "api-models"),
                ],
            },
        ],
    },
}
