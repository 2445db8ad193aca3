"""The operator's work on a running system: find faults, see and repair the data, prove it right.

The verbs of `replog_cli` print what these modules do. They take settings and ports, and know no terminal.
"""
