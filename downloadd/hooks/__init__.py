"""Who is told that a download has ended: webhooks and commands of the administrator."""
