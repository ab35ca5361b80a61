"""What the service answers over HTTP, beside its three interfaces."""
