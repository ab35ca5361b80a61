"""Photos out, results in: image hosts, downloads, result folders and buckets."""
