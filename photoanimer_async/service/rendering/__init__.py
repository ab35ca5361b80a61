"""Who renders the videos: worker processes or a Dask cluster."""
