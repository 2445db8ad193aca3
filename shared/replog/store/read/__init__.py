"""Reads of query services: pages, filters, totals, versions."""
