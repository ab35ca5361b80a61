"""What a photo or a voice must be: checks, formats, metadata, preparation."""
