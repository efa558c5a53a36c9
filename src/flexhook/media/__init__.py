"""Pictures and video files: reading, writing, resizing, and caches of resized pictures."""
