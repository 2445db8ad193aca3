"""The parts of the OpenAPI document; :mod:`replog_api.contracts.operations` says what is served."""
