# The rented host plus what the roles would install, laid as they lay it. Nothing of it starts before a role says so.
ARG HOST
FROM ${HOST}
ARG PACKAGES
COPY install-packages /usr/local/sbin/install-packages
RUN sh /usr/local/sbin/install-packages ${PACKAGES} && rm /usr/local/sbin/install-packages
COPY opt /opt
ARG PATRONI_MARKER
COPY wheels /var/cache/patroni-wheels
RUN python3 -m venv /opt/patroni \
    && /opt/patroni/bin/pip install --quiet --no-index --no-deps /var/cache/patroni-wheels/*.whl \
    && touch "/opt/patroni/${PATRONI_MARKER}" \
    && rm -r /var/cache/patroni-wheels
