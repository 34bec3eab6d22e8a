"""What the measurements share, and what they start in processes of their own."""
