"""Visual and text encoders: what turns frames into feature maps and sentences into tokens."""
