# Two images from one base.
#
#   docker build -t payment-worker .                         the worker: its own dependencies and code, nothing more
#   docker build -t payment-worker-stage --target stage .    the simulator and the reference db-service
#
# Both are installed from a lock with hashes. No syntax here needs BuildKit. PIP_* build arguments are not wired in:
# a mirror or another authority is the builder's environment, not the product's.
ARG BASE_IMAGE=python:3.13-slim-bookworm

FROM ${BASE_IMAGE} AS ground
LABEL org.opencontainers.image.title=payment-worker
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONFAULTHANDLER=1 \
    PATH=/opt/venv/bin:$PATH
# /keys is there so that a volume mounted on it belongs to the user who reads it.
RUN groupadd --gid 10001 worker \
    && useradd --uid 10001 --gid worker --home-dir /app --no-create-home --shell /usr/sbin/nologin worker \
    && mkdir -p /app /keys \
    && chown worker:worker /keys \
    && chmod 0700 /keys
WORKDIR /app

FROM ground AS stage-packages
COPY .ci/set_up.py /build/.ci/set_up.py
COPY requirements-dev.lock /build/
RUN python3 /build/.ci/set_up.py /opt/venv requirements-dev.lock

FROM ground AS stage
COPY --from=stage-packages /opt/venv /opt/venv
COPY worker /app/worker
USER worker
STOPSIGNAL SIGTERM
CMD ["python", "-m", "worker.demo.simulator", "--help"]

FROM ground AS worker-packages
COPY .ci/set_up.py /build/.ci/set_up.py
COPY requirements.lock /build/
RUN python3 /build/.ci/set_up.py /opt/venv requirements.lock

FROM ground AS worker-code
# pyproject.toml is where `--version` looks.
COPY run_worker.py pyproject.toml /app/
COPY handlers /app/handlers
COPY avro /app/avro
COPY db_client /app/db_client
COPY worker /app/worker
# The stage is another image; compiled once here, because the user of the worker may not write.
RUN rm -rf /app/worker/demo && python3 -m compileall -q /app

FROM ground AS worker
COPY --from=worker-packages /opt/venv /opt/venv
COPY --from=worker-code /app /app
USER worker
STOPSIGNAL SIGTERM
# Liveness: does this process still do its work? It touches no broker, database or gateway.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["python", "run_worker.py", "health"]
ENTRYPOINT ["python", "run_worker.py"]
CMD ["run"]
