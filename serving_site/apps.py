from django.apps import AppConfig


class ServingSiteConfig(AppConfig):
    name = "serving_site"
