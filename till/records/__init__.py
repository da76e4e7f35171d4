"""What is kept of deploys, drills and incidents, and the pages made of it."""
