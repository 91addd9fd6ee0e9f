"""What not every installation needs. Nothing imports it: settings and URLs name it by its path."""
