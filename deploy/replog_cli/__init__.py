"""The ``replog`` command: one module for each verb."""
