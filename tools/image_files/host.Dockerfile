# A freshly rented Debian 12 host: see host-packages.txt. No host keys and no machine id are baked in.
ARG BASE
FROM ${BASE}
COPY ssh-host-keys.service /etc/systemd/system/ssh-host-keys.service
RUN set -eu; \
    rm -f /etc/ssh/ssh_host_*; \
    : >/etc/machine-id; \
    rm -f /var/lib/dbus/machine-id; \
    useradd --create-home --shell /bin/bash till; \
    install -d -m 0700 -o till -g till /home/till/.ssh; \
    echo 'till ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/till; \
    chmod 0440 /etc/sudoers.d/till; \
    systemctl enable ssh-host-keys.service ssh.service
STOPSIGNAL SIGRTMIN+3
CMD ["/lib/systemd/systemd"]
