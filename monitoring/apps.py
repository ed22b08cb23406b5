from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    name = "monitoring"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.conf import settings

        from monitoring import guards, metrics, parts, spooling
        from monitoring.logs import shipping
        from monitoring.stores.importing import import_elasticsearch

        if hasattr(settings, "ELASTICSEARCH"):
            import_elasticsearch()
        parts.register()
        metrics.switch(settings.MONITORING)
        metrics.provide(metrics.CIRCUIT_STATE, guards.circuits)
        metrics.provide(metrics.SPOOL_BYTES, lambda: {(): spooling.waiting().octets})
        metrics.provide(metrics.SPOOL_CALLS, lambda: {(): spooling.waiting().calls})
        metrics.provide(metrics.SPOOL_OLDEST, lambda: {(): spooling.waiting().oldest_s})
        metrics.provide(metrics.SPOOL_DISK, lambda: {(): spooling.waiting().disk_octets})
        metrics.provide(metrics.LOG_SPOOL_BYTES, lambda: {(): shipping.waiting().octets})
        metrics.provide(metrics.LOG_SPOOL_DISK, lambda: {(): shipping.waiting().disk_octets})
