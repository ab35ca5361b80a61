"""What the service keeps on disk: tasks, photos, accounts, charges."""
