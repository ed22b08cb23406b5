"""What machines ask of monitoring: records, metrics, health."""
