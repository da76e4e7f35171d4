"""Hosts of a lab: systemd containers with sshd on a network of their own, made by Pulumi."""
