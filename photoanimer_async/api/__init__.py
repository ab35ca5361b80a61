"""One call of the Photo Animer API: JSON, HTTP, retries and rate limits."""
