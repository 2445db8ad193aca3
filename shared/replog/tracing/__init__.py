"""Traces: what a process does, as spans that go to an OTLP receiver. Off, and not even imported, without a receiver."""
