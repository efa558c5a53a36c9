"""Pictures of results: overlays, contact sheets, learning curves. Knows videos and scores, but no models."""
