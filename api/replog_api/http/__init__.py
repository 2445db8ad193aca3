"""HTTP: the context of a request, its parameters, errors, tags, languages and time zones."""
