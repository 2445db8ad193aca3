"""``replog notify``: posts outcomes of records to a webhook."""
