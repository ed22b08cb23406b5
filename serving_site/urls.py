"""Every path of the site, explicitly."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import TemplateView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from serving_site import openapi  # noqa: F401 - importing registers how a key is documented

urlpatterns = [
    path("", TemplateView.as_view(template_name="site/home.html"), name="home"),
    path("robots.txt", TemplateView.as_view(template_name="site/robots.txt", content_type="text/plain")),
    path("admin/", admin.site.urls),
    path("api/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("api/", include("models_registry.api.urls")),
]
