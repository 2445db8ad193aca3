"""The contracts that the service serves: OpenAPI for the query API, AsyncAPI for the topics."""
