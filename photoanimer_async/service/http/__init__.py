"""HTTP: query parameters in; envelopes, result files, the description, metrics and health out."""
