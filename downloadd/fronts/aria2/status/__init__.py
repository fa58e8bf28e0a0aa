"""Downloads as aria2 shows them: status, exit status and notifications, made from downloads and their events."""
