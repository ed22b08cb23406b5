"""Every path of the site, explicitly."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView, TemplateView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from serving_site import openapi, pages  # noqa: F401 - importing openapi registers how a key is documented

urlpatterns = [
    path("", pages.home, name="home"),
    path("favicon.ico", RedirectView.as_view(url=static("serving/icon.svg"))),
    path("robots.txt", TemplateView.as_view(template_name="site/robots.txt", content_type="text/plain")),
    path("admin/try/", include("predictions.trial")),
    path("admin/watch/", include("monitoring.pages.urls")),
    path("admin/logs/", include("monitoring.log_pages")),
    path("admin/records/", include("monitoring.record_pages")),
    path("admin/", admin.site.urls),
    path("api/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("", include("monitoring.urls")),
    path("api/", include("models_registry.api.urls")),
    path("", include("predictions.urls")),
    path("", include("predictions.online.urls")),
]

handler400 = "serving_site.api.handler400"
handler403 = "serving_site.api.handler403"
handler404 = "serving_site.api.handler404"
handler500 = "serving_site.api.handler500"
