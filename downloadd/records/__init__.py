"""What is written down? Every download, durably, from accept to history."""
