"""Object storage (S3) as the place of finished files: they are staged on the disk, verified, and uploaded."""
