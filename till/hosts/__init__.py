"""SSH and Ansible: sessions, plays, programs of hosts."""
