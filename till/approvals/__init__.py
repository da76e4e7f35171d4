"""What stands before a deploy: checklist, sign-offs, window, their document."""
