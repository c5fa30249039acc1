# Stands in for apache/kafka where no registry can be reached: the same jars as in the tests, the same variables.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
LABEL payment-worker.stand-in=yes
COPY java-runtime /opt/java
COPY jars /opt/kafka/libs
COPY kafka-start.sh /opt/kafka/start.sh
RUN useradd --uid 1000 --no-create-home --shell /usr/sbin/nologin appuser \
    && mkdir -p /var/lib/kafka/data /opt/kafka/config \
    && chown appuser: /var/lib/kafka/data /opt/kafka/config
USER appuser
CMD ["bash", "/opt/kafka/start.sh"]
