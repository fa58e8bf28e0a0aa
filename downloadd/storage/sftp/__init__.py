"""SFTP servers as the place of finished files; all but `location` needs the extra `sftp`."""
