# phaseflow serve: one process, not root, its database in one volume. Documents are mounted at /documents.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE schema.sql ./
COPY src ./src
RUN python -m venv /opt/phaseflow && /opt/phaseflow/bin/pip install --no-cache-dir '.[mcp,otel,postgres]'

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /data --create-home phaseflow && mkdir /documents
COPY --from=build /opt/phaseflow /opt/phaseflow
ENV PATH=/opt/phaseflow/bin:$PATH PHASEFLOW_DB=/data/phaseflow.db
USER phaseflow
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["phaseflow"]
# PHASEFLOW_TOKEN has to be set: without a token the service refuses any host but loopback.
CMD ["serve", "--host", "0.0.0.0", "--allow-root", "/documents"]
