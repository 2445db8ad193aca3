"""The parts that the OpenAPI document is put together from; :mod:`replog_api.documentation` says what is served."""
