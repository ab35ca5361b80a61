"""How the service fetches photos and voices, and from where it does not."""
