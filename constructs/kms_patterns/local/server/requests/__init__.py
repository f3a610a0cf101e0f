"""What every request is checked for besides its own permission, and in whose words it is refused."""
