"""Check photos and voices, and convert photos that the service does not accept."""
