"""The health of a collector: its progress, the watchdog, and the HTTP server of probes."""
