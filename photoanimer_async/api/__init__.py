"""One HTTP call: its JSON, its transport, its retries and its rate."""
