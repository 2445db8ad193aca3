"""Reading of fetched data: clients whose polls never raise for the content of a batch, and the formats of batches."""
