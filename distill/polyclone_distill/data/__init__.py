"""From data sets to shards: reading, extraction, task clusters, near-duplicates, tokens."""
