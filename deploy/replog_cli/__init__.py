"""The ``replog`` command."""
