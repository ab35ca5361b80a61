"""What picture files state: the scans of JPEG files, and colours. For `photos` and the engine."""
