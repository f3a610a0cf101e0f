"""What is checked or added when the app is synthesized."""
