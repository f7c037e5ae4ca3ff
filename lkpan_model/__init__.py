"""The LK-PAN image encoder: an image in, an L2-normalised descriptor out."""
