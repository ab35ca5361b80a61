"""One photo from file to video, and many: the pipeline, batches and the journal."""
