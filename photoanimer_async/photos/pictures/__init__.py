"""What picture files state: scans of JPEG, colours, orientation. For `photos` and the engine."""
